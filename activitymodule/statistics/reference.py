"""Reference statistics as a file: a table of regimes (Parquet, half precision) and a note of their origin.

`reference/wisdm.parquet` and `.json` beside this module are the shipped ones. One row is one regime; a
profile's own numbers stand in each of its rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from activitymodule import files
from activitymodule.errors import ConfigError, DataError
from activitymodule.statistics.profile import BANDS_HZ, HARMONICS, LEAST_FRAMES, LEVELS, Profile, Regime
from activitymodule.telemetry.untrusted import readable

FORMAT = 1
SHIPPED = Path(__file__).parent / "reference"

_PROFILE_NUMBERS = ("stride_hz", "stride_sd_hz", "stride_memory", "volatility_memory", "range_g")
_SHAPES: dict[str, tuple[int, ...]] = {
    "direction": (3,),
    "hold": (3, 3),
    "quantiles": (3, len(LEVELS)),
    "log_power": (len(BANDS_HZ), 3),
    "coherence_real": (len(BANDS_HZ), 3),
    "coherence_imag": (len(BANDS_HZ), 3),
    "template": (2 * HARMONICS, 3),
    "cycle": (4, 3),
}
_GAIT_ONLY = {"template", "cycle"}


@dataclass(frozen=True)
class Origin:
    """Where reference statistics come from, and how they may be used."""

    name: str
    source: str = ""
    licence: str = ""
    citation: str = ""
    people: int = 0
    activities: tuple[str, ...] = ()
    settings: dict[str, object] | None = None
    note: str = ""


@dataclass(frozen=True)
class ReferenceStatistics:
    """Profiles of people and their origin."""

    profiles: tuple[Profile, ...]
    origin: Origin

    @cached_property
    def people(self) -> tuple[str, ...]:
        """The names of the people, in order."""
        return tuple(sorted({p.person for p in self.profiles}))

    @cached_property
    def activities(self) -> tuple[str, ...]:
        """The names of the activities, in order."""
        return tuple(sorted({p.activity for p in self.profiles}))

    def profiles_of(self, activity: str) -> np.ndarray:
        """int64 indices into `profiles` of those who did an activity; raises DataError where there are none."""
        found = np.flatnonzero([p.activity == activity for p in self.profiles])
        if not len(found):
            raise DataError(
                f"the reference statistics {self.origin.name} know no activity {activity!r}; "
                f"they know {', '.join(self.activities)}"
            )
        return found

    def of_people(self, people: Iterable[str]) -> ReferenceStatistics:
        """The same, of some people only: what fitting those people alone would give."""
        wanted = set(people)
        kept = tuple(p for p in self.profiles if p.person in wanted)
        if not kept:
            raise DataError(f"the reference statistics {self.origin.name} hold none of these people")
        return ReferenceStatistics(kept, replace(self.origin, people=len({p.person for p in kept})))

    def save(self, path: Path | str) -> None:
        """Write `path` (.parquet) and the note beside it (.json)."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.written_beside(path) as part:
            pq.write_table(_table(self.profiles), part, compression="zstd", compression_level=19)
        note = {"format": FORMAT, **asdict(self.origin)}
        files.write_text(path.with_suffix(".json"), json.dumps(note, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, name_or_path: str | Path) -> ReferenceStatistics:
        """Reference statistics by the name of shipped ones (`wisdm`) or by the path of a .parquet file."""
        path = Path(name_or_path)
        if path.suffix != ".parquet":
            path = SHIPPED / f"{name_or_path}.parquet"
        note_path = path.with_suffix(".json")
        if not path.is_file() or not note_path.is_file():
            known = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.parquet"))) or "none"
            raise ConfigError(
                f"there are no reference statistics {name_or_path}; shipped are: {known}; "
                "or give the path of a .parquet file that `activity statistics measure` wrote"
            )
        with readable(note_path):
            note = json.loads(note_path.read_text("utf-8"))
            if note.pop("format", None) != FORMAT:
                raise DataError(
                    f"{note_path} is of another format than {FORMAT}; measure the statistics again"
                )
            origin = Origin(**{**note, "activities": tuple(note["activities"])})
        with readable(path):
            return cls(_profiles(pq.read_table(path)), origin)


def _half(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float16)


def _table(profiles: Iterable[Profile]) -> pa.Table:
    columns: dict[str, list[object]] = {}

    def put(name: str, value: object) -> None:
        columns.setdefault(name, []).append(value)

    for profile in profiles:
        for number, regime in enumerate(profile.regimes):
            if regime.frames < LEAST_FRAMES and len(profile.regimes) > 1:
                raise DataError(
                    f"a regime of {profile.person}, {profile.activity} has {regime.frames} frames; "
                    f"fewer than {LEAST_FRAMES} are not stored"
                )
            put("person", profile.person)
            put("activity", profile.activity)
            put("regime", number)
            put("frames", regime.frames)
            put("spherical", profile.spherical)
            put("frame_samples", profile.frame_samples)
            for name in _PROFILE_NUMBERS:
                put(name, getattr(profile, name))
            put("occupancy", regime.occupancy)
            put("volatility", regime.volatility)
            put("transitions", _half(regime.transitions))
            for name in _SHAPES:
                if name in _GAIT_ONLY and not profile.gait:
                    put(name, None)
                    continue
                value = (
                    getattr(regime.coherence, name.removeprefix("coherence_"))
                    if name.startswith("coherence_")
                    else getattr(regime, name)
                )
                put(name, _half(value).ravel())
    types: dict[str, pa.DataType] = {
        "person": pa.string(),
        "activity": pa.string(),
        "regime": pa.int8(),
        "frames": pa.int16(),
        "spherical": pa.bool_(),
        "frame_samples": pa.int16(),
        **dict.fromkeys((*_PROFILE_NUMBERS, "occupancy", "volatility"), pa.float32()),
        **dict.fromkeys(("transitions", *_SHAPES), pa.list_(pa.float16())),
    }
    return pa.table({name: pa.array(columns[name], kind) for name, kind in types.items()})


def _profiles(table: pa.Table) -> tuple[Profile, ...]:
    groups: dict[tuple[str, str], list[dict[str, object]]] = {}
    for row in table.to_pylist():
        groups.setdefault((row["person"], row["activity"]), []).append(row)
    profiles = []
    for (person, activity), rows in groups.items():
        first = rows[0]
        profiles.append(
            Profile(
                person=person,
                activity=activity,
                spherical=bool(first["spherical"]),
                frame_samples=int(first["frame_samples"]),  # type: ignore[call-overload]
                **{name: float(first[name]) for name in _PROFILE_NUMBERS},  # type: ignore[arg-type]
                regimes=tuple(_regime(row) for row in rows),
            )
        )
    return tuple(profiles)


def _regime(row: dict[str, object]) -> Regime:
    def array(name: str) -> np.ndarray:
        shape = _SHAPES[name]
        return np.zeros(shape) if row[name] is None else np.asarray(row[name], float).reshape(shape)

    def share(values: object) -> np.ndarray:
        total = np.asarray(values, float)
        return np.asarray(total / total.sum())

    return Regime(
        frames=int(row["frames"]),  # type: ignore[call-overload]
        occupancy=float(row["occupancy"]),  # type: ignore[arg-type]
        transitions=share(row["transitions"]),
        direction=array("direction"),
        hold=array("hold"),
        quantiles=array("quantiles"),
        log_power=array("log_power"),
        coherence=array("coherence_real") + 1j * array("coherence_imag"),
        volatility=float(row["volatility"]),  # type: ignore[arg-type]
        template=array("template"),
        cycle=array("cycle"),
    )
