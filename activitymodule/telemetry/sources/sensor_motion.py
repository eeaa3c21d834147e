"""What moved in a push of Sensor Logger: accelerations, gravity and rotation, on the times of their samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from activitymodule.telemetry.gravity import STANDARD_GRAVITY, attitude_and_rest, gravity_of

SLOT_NS = 100_000_000
_HOLD_NS = 1_000_000_000  # how far the gravity (or attitude) may be from the sample it is added to
AXES = ("x", "y", "z")
ROTATION = tuple(f"rotation_rate_{axis}" for axis in AXES)


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
    """What one sensor measures of a motion. total, gravity : (n, 3) in g with Core Motion's signs, NaN where one is
    missing; turned : rotation of the same samples (n, 3) in rad/s, None where the sensor has none; gravity_from : the
    sensor of the gravity, None where it is this one, and which of its samples are near enough to serve, bool.
    """

    sensor: str
    time_ns: np.ndarray
    total: np.ndarray
    gravity: np.ndarray
    turned: np.ndarray | None = None
    gravity_from: tuple[str, np.ndarray] | None = None

    @property
    def known(self) -> np.ndarray:
        """Which samples have a total acceleration, or a rotation, bool (n,)."""
        known = np.isfinite(self.total).all(axis=1)
        return np.asarray(known if self.turned is None else known | np.isfinite(self.turned).any(axis=1))

    def readings(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """For each tenth of a second that has a sample: the time of its first, int64 (n,), and pitch, roll, user
        acceleration and rotation (n,), NaN where one is missing."""
        whole = np.isfinite(self.total).all(axis=1, keepdims=True)
        measured = np.where(whole, np.hstack([self.total, self.gravity]), np.nan)
        if self.turned is not None:
            measured = np.hstack([measured, self.turned])
        first, means = in_slots(self.time_ns[self.known], measured[self.known])
        moved = np.full((len(first), 5), np.nan)
        here = np.isfinite(means[:, :6]).all(axis=1)
        pitch, roll, user = attitude_and_rest(means[here, :3], means[here, 3:6])
        moved[here] = np.column_stack([pitch, roll, user])
        names = ("pitch", "roll", *(f"user_acceleration_{axis}" for axis in AXES), *ROTATION)
        return first, dict(zip(names, (*moved.T, *means[:, 6:].T), strict=False))


def accelerations(sensors: Mapping[str, Samples], sign: float) -> list[Motion]:
    """The motion of each sensor that measures an acceleration. sign : -1 for Android's signs."""
    found = []
    wrist = sensors.get("wristmotion")
    if wrist is not None:
        moved, pull, turned = (
            wrist.matrix(tuple(f"{kind}{axis}" for axis in "XYZ"))
            for kind in ("acceleration", "gravity", "rotationRate")
        )
        if moved is None or pull is None:
            moved = pull = np.full((len(wrist.time_ns), 3), np.nan)
        # in g by default; standardised: m/s2 with Android's signs
        standard = np.linalg.norm(pull, axis=1) > 4
        unit = np.where(standard, -1 / STANDARD_GRAVITY, 1.0)[:, None]
        found.append(Motion("wristmotion", wrist.time_ns, (moved + pull) * unit, pull * unit, turned))
    moving = sensors.get("accelerometer")
    user = moving.matrix(AXES) if moving is not None else None
    if moving is not None and user is not None and (source := _gravity(sensors, sign)) is not None:
        name, time_ns, pull = source
        there = np.isfinite(pull).all(axis=1)
        down = _of_tenth(moving.time_ns, time_ns[there], pull[there])
        total = sign * user / STANDARD_GRAVITY + down
        moved_ns = moving.time_ns[np.isfinite(total).all(axis=1)]
        found.append(
            Motion(
                "accelerometer",
                moving.time_ns,
                total,
                down,
                gravity_from=(name, there & (_distance(time_ns, moved_ns) <= _HOLD_NS)),
            )
        )
    whole = sensors.get("totalacceleration")
    both = whole.matrix(AXES) if whole is not None else None
    if whole is not None and both is not None:
        total = sign * both / STANDARD_GRAVITY
        # a mean over its neighbours would depend on where the push begins
        found.append(Motion("totalacceleration", whole.time_ns, total, total))
    return found


def _gravity(sensors: Mapping[str, Samples], sign: float) -> tuple[str, np.ndarray, np.ndarray] | None:
    """Gravity in g from its sensor, else from the attitude: the sensor, its times int64 (n,) and values (n, 3)."""
    for name, names in (("gravity", AXES), ("orientation", ("pitch", "roll"))):
        samples = sensors.get(name)
        given = samples.matrix(names) if samples is not None else None
        if samples is None or given is None or not np.isfinite(given).all(axis=1).any():
            continue
        if name == "gravity":
            return name, samples.time_ns, sign * given / STANDARD_GRAVITY
        return name, samples.time_ns, gravity_of(sign * given[:, 0], given[:, 1])
    return None


def _nearest(times_ns: np.ndarray, time_ns: np.ndarray) -> np.ndarray:
    """The index of the nearest of the sorted times for each of some others."""
    right = np.searchsorted(time_ns, times_ns).clip(0, len(time_ns) - 1)
    left = (right - 1).clip(0)
    nearer = np.abs(time_ns[left] - times_ns) <= np.abs(time_ns[right] - times_ns)
    return np.asarray(np.where(nearer, left, right))


def _distance(times_ns: np.ndarray, time_ns: np.ndarray) -> np.ndarray:
    """How far each of some times is from the nearest of the sorted times; the largest integer where there is none."""
    if not len(time_ns):
        return np.full(len(times_ns), np.iinfo(np.int64).max)
    return np.abs(time_ns[_nearest(times_ns, time_ns)] - times_ns)


def _of_tenth(times_ns: np.ndarray, time_ns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (n, 3) at other times: the mean of their tenth, else of the nearest sample, NaN where it is too far."""
    found = values[_nearest(times_ns, time_ns)]
    found[_distance(times_ns, time_ns) > _HOLD_NS] = np.nan
    first, means = in_slots(time_ns, values)
    slots, wanted = first // SLOT_NS, times_ns // SLOT_NS
    place = np.searchsorted(slots, wanted).clip(0, len(slots) - 1)
    here = slots[place] == wanted
    found[here] = means[place[here]]
    return found


def in_slots(time_ns: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of a sensor's samples, values (n, columns) in order of time, over each tenth of a second that has one.

    Returns the time of the first sample of each, int64 (slots,), and means (slots, columns) of what is there; NaN where
    nothing is.
    """
    if not len(time_ns):
        return time_ns, values
    slot = time_ns // SLOT_NS
    first = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
    there = np.isfinite(values)
    count = np.add.reduceat(there, first, axis=0, dtype=np.int64)
    total = np.add.reduceat(np.where(there, values, 0.0), first, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return time_ns[first], total / np.where(count > 0, count, np.nan)
