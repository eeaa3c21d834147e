"""What moved in a push of Sensor Logger: accelerations, gravity and rotation, on the times of their samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from activitymodule.telemetry.gravity import STANDARD_GRAVITY, attitude_and_rest, gravity_of, split_gravity

SLOT_NS = 100_000_000
_HOLD_NS = 1_000_000_000  # how far the gravity (or attitude) may be from the sample it is added to
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Samples:
    """Samples of one sensor in time order: time_ns int64 (n,), values by name float64 (n,)."""

    time_ns: np.ndarray
    values: Mapping[str, np.ndarray]

    def matrix(self, names: tuple[str, ...]) -> np.ndarray | None:
        """The values of some names, (n, len(names)); None where one is not there at all."""
        if not all(name in self.values for name in names):
            return None
        return np.stack([self.values[name] for name in names], axis=1)


@dataclass(frozen=True)
class Motion:
    """The sensor that accelerations come from. total, gravity : (n, 3) in g with Core Motion's signs; gravity None
    where only the total is known, else NaN where none is near."""

    sensor: str
    time_ns: np.ndarray
    total: np.ndarray
    gravity: np.ndarray | None

    @property
    def known(self) -> np.ndarray:
        """Which samples have a total acceleration, bool (n,)."""
        return np.asarray(np.isfinite(self.total).all(axis=1))

    def columns(self, slots: np.ndarray) -> dict[str, np.ndarray]:
        """Pitch, roll and user acceleration in the slots, NaN where they have no sample."""
        known = self.known
        total = in_slots(self.time_ns[known], self.total[known], slots)
        here = np.isfinite(total).all(axis=1)
        if self.gravity is None:
            pitch, roll, user = split_gravity(total[here])
        else:
            pitch, roll, user = attitude_and_rest(
                total[here], in_slots(self.time_ns[known], self.gravity[known], slots)[here]
            )
        found = {name: np.full(len(slots), np.nan) for name in ("pitch", "roll")}
        found |= {f"user_acceleration_{axis}": np.full(len(slots), np.nan) for axis in AXES}
        for name, values in zip(found, (pitch, roll, *np.asarray(user).T), strict=True):
            found[name][here] = values
        return found


def acceleration(sensors: Mapping[str, Samples], sign: float) -> Motion | None:
    """The acceleration of a device, from the best of its sensors. sign : -1 for Android's signs."""
    wrist = sensors.get("wristmotion")
    if wrist is not None:
        moved = wrist.matrix(("accelerationX", "accelerationY", "accelerationZ"))
        pull = wrist.matrix(("gravityX", "gravityY", "gravityZ"))
        if moved is not None and pull is not None:
            # in g by default; standardised: m/s2 with Android's signs
            standard = np.linalg.norm(pull, axis=1) > 4
            unit = np.where(standard, -1 / STANDARD_GRAVITY, 1.0)[:, None]
            return Motion("wristmotion", wrist.time_ns, (moved + pull) * unit, pull * unit)
    moving = sensors.get("accelerometer")
    user = moving.matrix(AXES) if moving is not None else None
    if moving is not None and user is not None:
        down = _gravity(sensors, moving.time_ns, sign)
        if down is not None:
            return Motion("accelerometer", moving.time_ns, sign * user / STANDARD_GRAVITY + down, down)
    whole = sensors.get("totalacceleration")
    both = whole.matrix(AXES) if whole is not None else None
    if whole is not None and both is not None:
        return Motion("totalacceleration", whole.time_ns, sign * both / STANDARD_GRAVITY, None)
    return None


def _gravity(sensors: Mapping[str, Samples], time_ns: np.ndarray, sign: float) -> np.ndarray | None:
    """Gravity in g at the given times, from its sensor or from the attitude; NaN too far from a sample."""
    pull = sensors.get("gravity")
    values = pull.matrix(AXES) if pull is not None else None
    if pull is not None and values is not None:
        return _at(time_ns, pull.time_ns, sign * values / STANDARD_GRAVITY)
    attitude = sensors.get("orientation")
    if attitude is None or not {"pitch", "roll"} <= set(attitude.values):
        return None
    pitch, roll = sign * attitude.values["pitch"], attitude.values["roll"]
    return _at(time_ns, attitude.time_ns, gravity_of(pitch, roll))


def _at(times_ns: np.ndarray, time_ns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (n, 3) at other times: those of the nearest sample, NaN where it is too far."""
    right = np.searchsorted(time_ns, times_ns).clip(0, len(time_ns) - 1)
    left = (right - 1).clip(0)
    nearer = np.abs(time_ns[left] - times_ns) <= np.abs(time_ns[right] - times_ns)
    nearest = np.where(nearer, left, right)
    found = values[nearest].copy()
    found[np.abs(time_ns[nearest] - times_ns) > _HOLD_NS] = np.nan
    return found


def rotation(sensors: Mapping[str, Samples]) -> tuple[str, np.ndarray, np.ndarray] | None:
    """The sensor of the rotation, its times, and its rates (n, 3) in rad/s."""
    wrist = sensors.get("wristmotion")
    names = ("rotationRateX", "rotationRateY", "rotationRateZ")
    if wrist is not None and (turned := wrist.matrix(names)) is not None:
        return "wristmotion", wrist.time_ns, turned
    gyroscope = sensors.get("gyroscope")
    if gyroscope is not None and (turned := gyroscope.matrix(AXES)) is not None:
        return "gyroscope", gyroscope.time_ns, turned
    return None


def _means(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Means over stretches of rows that begin at `first`, of what is there; NaN where nothing is."""
    there = np.isfinite(values)
    count = np.add.reduceat(there, first, axis=0, dtype=np.int64)
    total = np.add.reduceat(np.where(there, values, 0.0), first, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / np.where(count > 0, count, np.nan)


def in_slots(time_ns: np.ndarray, values: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Means of a sensor's samples in each slot (len(slots), columns); NaN where it has none."""
    found = np.full((len(slots), values.shape[1]), np.nan)
    if not len(time_ns):
        return found
    slot = time_ns // SLOT_NS
    first = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
    place = np.searchsorted(slots, slot[first])
    hit = (place < len(slots)) & (slots[place.clip(0, len(slots) - 1)] == slot[first])
    found[place[hit]] = _means(values, first)[hit]
    return found
