"""Device profiles: what a device model's sensor reports, one YAML file a model.

Readings keep the axes of their sensor wherever they are sent and kept. A profile says how those axes lie on the wrist;
`windows.frame` turns readings by it into the one canonical frame when they are packed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from activitymodule.errors import ConfigError

FOLDER = Path(__file__).parent
MOST_CHARACTERS = 64
"""The longest name of a device model."""

_SIGNED_AXIS = re.compile(r"[+-]?[xyz]")
_ELSE = re.compile(r"[^a-z0-9]+")


def _signed_axis(text: str) -> str:
    if not _SIGNED_AXIS.fullmatch(text):
        raise ValueError(
            f"{text} is not an axis of the sensor: x, y or z, with - before it where it is reversed"
        )
    return text.removeprefix("+")


SignedAxis = Annotated[str, AfterValidator(_signed_axis)]


class Axes(BaseModel):
    """Each axis of the canonical frame, and the axis of the sensor that lies along it.

    The canonical frame is that of a watch whose screen is read by its wearer: x to the right of the screen, along the
    forearm; y to its top, across the forearm; z out of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: SignedAxis = "x"
    y: SignedAxis = "y"
    z: SignedAxis = "z"

    @model_validator(mode="after")
    def _each_once(self) -> Axes:
        if sorted(axis[-1] for axis in (self.x, self.y, self.z)) != ["x", "y", "z"]:
            raise ValueError("axes must name x, y and z of the sensor once each")
        return self

    @property
    def order(self) -> np.ndarray:
        """Index of the sensor's axis for each canonical one, int (3,)."""
        return np.array(["xyz".index(axis[-1]) for axis in (self.x, self.y, self.z)])

    @property
    def signs(self) -> np.ndarray:
        """Its sign, float32 (3,)."""
        return np.array([-1 if axis[0] == "-" else 1 for axis in (self.x, self.y, self.z)], np.float32)

    @property
    def handedness(self) -> float:
        """1, or -1 where the sensor's frame is the mirror image of the canonical one: rotations turn about."""
        turn = np.zeros((3, 3))
        turn[np.arange(3), self.order] = self.signs
        return float(np.round(np.linalg.det(turn)))

    @property
    def canonical(self) -> bool:
        """Whether the sensor's axes are the canonical ones."""
        return (self.x, self.y, self.z) == ("x", "y", "z")


class DeviceProfile(BaseModel):
    """What is known of a device model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    """As its maker calls it."""
    aliases: tuple[str, ...] = ()
    """Other names that mean this model; case, spaces and signs do not count."""
    axes: Axes = Axes()
    sign: Literal["core-motion", "android"]
    """Of the sensor's own values at rest: core-motion, -1 g along the axis that points up; android, +1 g. Readings
    have Core Motion's sign: importers turn by this, the stream does not."""
    rate_hz: float | None = Field(None, gt=0)
    """Rate of the sensor; absent where the application chooses it."""
    range_g: float | None = Field(None, gt=0)
    """Largest acceleration along an axis; absent where it is not published."""
    wrist: Literal["left", "right", "either"] = "either"
    """The wrist that the signs of the axes hold for; no feature sees these signs."""
    source: str
    """Where the axes are published, or how they were found."""


def key_of(model: str) -> str:
    """A name as it is compared: lower case, and one hyphen for whatever is neither letter nor digit."""
    return _ELSE.sub("-", model.lower()).strip("-")


def read_profile(path: Path) -> DeviceProfile:
    """The profile of a file, whose name is its id. Raises ConfigError where it is not one."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(given, Mapping):
            raise ConfigError(f"{path} is no device profile: it must hold keys and values")
        return DeviceProfile.model_validate({**given, "id": path.stem})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as a device profile: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path} is no device profile: {where}: {first['msg']}") from error


def read_profiles(folder: Path) -> dict[str, DeviceProfile]:
    """The profiles of a folder by id. Raises ConfigError, also where two of them share a name."""
    profiles = {path.stem: read_profile(path) for path in sorted(folder.glob("*.yaml"))}
    _by_key(profiles)
    return profiles


def _by_key(profiles: Mapping[str, DeviceProfile]) -> dict[str, DeviceProfile]:
    known: dict[str, DeviceProfile] = {}
    for profile in profiles.values():
        for key in {key_of(name) for name in (profile.id, profile.name, *profile.aliases)}:
            other = known.setdefault(key, profile)
            if other is not profile:
                raise ConfigError(f"the device profiles {other.id} and {profile.id} share the name {key}")
    return known


@cache
def profiles() -> Mapping[str, DeviceProfile]:
    """The profiles of this package by id."""
    return read_profiles(FOLDER)


@cache
def _known() -> Mapping[str, DeviceProfile]:
    return _by_key(profiles())


@lru_cache(maxsize=1024)
def profile_of(model: str | None) -> DeviceProfile | None:
    """The profile of a device model by its id, name or an alias; None where there is none."""
    return None if model is None else _known().get(key_of(model))


def model_name(given: str | None) -> str | None:
    """A device model as it is stored and shown: the profile's id, else the name as given.

    None for what is no name: empty, longer than MOST_CHARACTERS, or with control characters.
    """
    text = (given or "").strip()
    if not text or len(text) > MOST_CHARACTERS or not text.isprintable():
        return None
    profile = profile_of(text)
    return profile.id if profile else text


def profiles_table() -> str:
    """The profiles as a Markdown table, for docs/telemetry.md."""
    lines = [
        "| profile | model | x, y, z are its | sign | Hz | g | axes by |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in profiles().values():
        host = one.source.split("/")[2]
        axes = f"{one.axes.x}, {one.axes.y}, {one.axes.z}"
        rate, reach = (f"{value:g}" if value else "" for value in (one.rate_hz, one.range_g))
        lines.append(
            f"| `{one.id}` | {one.name} | {axes} | {one.sign} | {rate} | {reach} | [{host}]({one.source}) |"
        )
    return "\n".join(lines) + "\n"
