"""Sensor Logger (an app for phones and watches): its HTTP push to canonical readings.

A push is {messageId, sessionId, deviceId, payload: [{name, time, values: {...}}, ...]}; time is UTC nanoseconds (as
text or number), and older versions have the values beside the name. Units and frames, by the app's own reference
(github.com/tszheichoi/awesome-sensor-logger, UNITS.md, COORDINATES.md):

| sensor | unit there | here |
|---|---|---|
| `accelerometer` (gravity removed), `gravity` | m/s2 | by 9.80665: g; the two added are the total acceleration |
| `totalacceleration` (Android) | m/s2, with gravity | where there is no `gravity`: separated by a running mean |
| `wristmotion` (Apple Watch) | g; m/s2 where units are standardised | g; recognised by the size of its gravity |
| `gyroscope` | rad/s | rotation_rate_* |
| `orientation` | rad | yaw; pitch and roll only where no gravity comes along |
| `heartrate` | bpm | heart_rate, in the reading it falls into |
| `pedometer` | steps since the start | steps since the last reading |
| `location`, `watchlocation` | m/s, degrees, m | speed, course, accuracies; no position |
| `battery` | text | battery_state |

Axes stick to the device on all platforms, but on Android (and wherever "Standardise Units & Frames" is on)
accelerations have the opposite sign of Core Motion, whose frame is ours: say `android`. No feature of a window depends
on it. Samples come at 50 or 100 Hz: those of one tenth of a second of UTC are averaged into one reading, which
carries the time of the first of them, so that a push that ends within a tenth loses nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from activitymodule.errors import DataError
from activitymodule.telemetry.gravity import STANDARD_GRAVITY, attitude_and_rest, gravity_of, split_gravity
from activitymodule.telemetry.identifiers import DEVICE_ID_TEXT, is_device_id
from activitymodule.telemetry.schema import FIELDS, arrow_schema

Frame = Literal["core-motion", "android"]

SLOT_NS = 100_000_000
MOST_SAMPLES = 200_000  # of one push
_HOLD_NS = 1_000_000_000  # how far the gravity (or attitude) may be from the sample it is added to
_BATTERY = {"charging", "unplugged", "full", "unknown"}
_AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Pushed:
    """A push as readings.

    readings : canonical readings in time order; samples : samples received; passed_over : sensor -> samples that no
    field of a reading takes; steps : value of the step counter, for the next push of the session.
    """

    device_id: str
    readings: pa.Table
    samples: int
    passed_over: dict[str, int]
    steps: float | None


@dataclass(frozen=True)
class _Samples:
    """Samples of one sensor in time order: time_ns int64 (n,), values by name float64 (n,)."""

    time_ns: np.ndarray
    values: Mapping[str, np.ndarray]

    def matrix(self, names: tuple[str, ...]) -> np.ndarray | None:
        if not all(name in self.values for name in names):
            return None
        return np.stack([self.values[name] for name in names], axis=1)


def readings_of_push(
    push: object,
    *,
    frame: Frame = "core-motion",
    device_id: str | None = None,
    steps_before: float | None = None,
) -> Pushed:
    """One push as readings. device_id : in place of the push's own; steps_before : `Pushed.steps` of the push before.

    Raises DataError where it is not a push of this app.
    """
    payload = push.get("payload") if isinstance(push, dict) else None
    if not isinstance(push, dict) or not isinstance(payload, list):
        raise DataError("this is not a push of Sensor Logger: an object with a list `payload` is expected")
    device = device_id if device_id is not None else push.get("deviceId")
    if not is_device_id(device):
        raise DataError(f"deviceId must be {DEVICE_ID_TEXT}; name one with ?device=")
    if len(payload) > MOST_SAMPLES:
        raise DataError(f"a push of {len(payload)} samples is too large; at most {MOST_SAMPLES} are allowed")
    sensors, battery = _by_sensor(payload)
    base, total, gravity = _acceleration(sensors, -1.0 if frame == "android" else 1.0)
    if base is None or total is None:
        passed = {name: len(samples.time_ns) for name, samples in sensors.items()}
        return Pushed(device, arrow_schema().empty_table(), len(payload), passed, steps_before)
    slot = base.time_ns // SLOT_NS
    first = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
    columns: dict[str, np.ndarray] = {"stamp": base.time_ns[first] // 1000}
    columns |= _motion(total, gravity, first)
    slots = slot[first]
    others, steps = _other_sensors(sensors, slots, steps_before)
    used = _used(sensors)
    passed = {name: len(samples.time_ns) for name, samples in sensors.items() if name not in used}
    table = _table(device, columns | others, len(slots), battery)
    return Pushed(device, table, len(payload), passed, steps)


_ALWAYS_USED = frozenset({"gyroscope", "heartrate", "pedometer", "location", "watchlocation", "battery"})


def _used(sensors: Mapping[str, _Samples]) -> frozenset[str]:
    """The sensors that readings are made of."""
    acceleration = (
        {"wristmotion"} if "wristmotion" in sensors else {"accelerometer", "gravity", "totalacceleration"}
    )
    orientation = sensors.get("orientation")
    yaw = {"orientation"} if orientation is not None and "yaw" in orientation.values else set()
    return _ALWAYS_USED | acceleration | yaw


def _motion(total: np.ndarray, gravity: np.ndarray | None, first: np.ndarray) -> dict[str, np.ndarray]:
    """Pitch, roll and user acceleration of the readings whose samples begin at `first`."""
    mean_total = _means(total, first)
    if gravity is None:
        pitch, roll, user = split_gravity(mean_total)
    else:
        pitch, roll, user = attitude_and_rest(mean_total, _means(gravity, first))
    columns = {"pitch": pitch, "roll": roll}
    return columns | {f"user_acceleration_{axis}": user[:, i] for i, axis in enumerate(_AXES)}


def _other_sensors(
    sensors: Mapping[str, _Samples], slots: np.ndarray, steps_before: float | None
) -> tuple[dict[str, np.ndarray], float | None]:
    """Fields beside the acceleration, in the slots of the readings, and the value of the step counter."""
    columns: dict[str, np.ndarray] = {}
    rotation = _rotation(sensors)
    if rotation is not None:
        by_slot = _in_slots(rotation[0], rotation[1], slots)
        columns |= {f"rotation_rate_{axis}": by_slot[:, i] for i, axis in enumerate(_AXES)}
    for sensor, name, field in (("orientation", "yaw", "yaw"), ("heartrate", "bpm", "heart_rate")):
        samples = sensors.get(sensor)
        if samples is not None and name in samples.values:
            columns[field] = _in_slots(samples.time_ns, samples.values[name][:, None], slots)[:, 0]
    for sensor in ("watchlocation", "location"):
        if sensor in sensors:
            columns |= _location(sensors[sensor], slots)
    steps = steps_before
    if "pedometer" in sensors and "steps" in sensors["pedometer"].values:
        columns["steps"], steps = _steps(sensors["pedometer"], slots, steps_before)
    return columns, steps


def _by_sensor(payload: list[object]) -> tuple[dict[str, _Samples], str | None]:
    """Samples of each sensor (its name in small letters without spaces), and the last battery state."""
    rows: dict[str, list[tuple[int, dict[str, object]]]] = defaultdict(list)
    battery: str | None = None
    for number, entry in enumerate(payload):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise DataError(f"item {number} of the payload has no name of a sensor")
        try:
            time_ns = int(entry["time"])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise DataError(f"item {number} of the payload has no time in nanoseconds") from None
        if not 0 < time_ns < 2**63:
            raise DataError(f"item {number} of the payload has a time that is not in nanoseconds of UTC")
        values = entry.get("values", entry)
        if not isinstance(values, dict):
            raise DataError(f"item {number} of the payload has values that are not an object")
        name = re.sub(r"[\s_-]", "", entry["name"]).lower()[:64]
        rows[name].append((time_ns, values))
        if name == "battery" and values.get("batteryState") in _BATTERY:
            battery = str(values["batteryState"])
    return {name: _samples(found) for name, found in rows.items()}, battery


def _samples(rows: list[tuple[int, dict[str, object]]]) -> _Samples:
    rows.sort(key=lambda row: row[0])
    names = {key for _, values in rows for key in values} - {"name", "time", "values", "accuracy"}
    return _Samples(
        np.array([time_ns for time_ns, _ in rows], np.int64),
        {
            name: column
            for name in names
            if np.isfinite(column := np.array([_number(values.get(name)) for _, values in rows])).any()
        },
    )


def _number(value: object) -> float:
    """A finite number, or NaN: text and booleans are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return np.nan
    try:
        number = float(value)
    except OverflowError:
        return np.nan
    return number if np.isfinite(number) else np.nan


def _acceleration(
    sensors: Mapping[str, _Samples], sign: float
) -> tuple[_Samples | None, np.ndarray | None, np.ndarray | None]:
    """The sensor whose samples set the readings' times, its total acceleration and gravity.

    Both in g, float64 (n, 3), with Core Motion's signs; gravity None where only the total is known.
    """
    wrist = sensors.get("wristmotion")
    if wrist is not None:
        moved = wrist.matrix(("accelerationX", "accelerationY", "accelerationZ"))
        pull = wrist.matrix(("gravityX", "gravityY", "gravityZ"))
        if moved is not None and pull is not None:
            # in g by default; standardised: m/s2 with Android's signs
            if np.nanmedian(np.linalg.norm(pull, axis=1)) > 4:
                moved, pull = -moved / STANDARD_GRAVITY, -pull / STANDARD_GRAVITY
            return wrist, moved + pull, pull
    moving = sensors.get("accelerometer")
    user = moving.matrix(_AXES) if moving is not None else None
    if moving is not None and user is not None:
        down = _gravity(sensors, moving.time_ns, sign)
        if down is not None:
            return moving, sign * user / STANDARD_GRAVITY + down, down
    whole = sensors.get("totalacceleration")
    both = whole.matrix(_AXES) if whole is not None else None
    if whole is not None and both is not None:
        return whole, sign * both / STANDARD_GRAVITY, None
    return None, None, None


def _gravity(sensors: Mapping[str, _Samples], time_ns: np.ndarray, sign: float) -> np.ndarray | None:
    """Gravity in g at the given times, from its sensor or from the attitude; NaN too far from a sample."""
    pull = sensors.get("gravity")
    values = pull.matrix(_AXES) if pull is not None else None
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


def _rotation(sensors: Mapping[str, _Samples]) -> tuple[np.ndarray, np.ndarray] | None:
    wrist = sensors.get("wristmotion")
    names = ("rotationRateX", "rotationRateY", "rotationRateZ")
    if wrist is not None and (turned := wrist.matrix(names)) is not None:
        return wrist.time_ns, turned
    gyroscope = sensors.get("gyroscope")
    if gyroscope is not None and (turned := gyroscope.matrix(_AXES)) is not None:
        return gyroscope.time_ns, turned
    return None


def _means(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Means over stretches of rows that begin at `first`, of what is there; NaN where nothing is."""
    there = np.isfinite(values)
    count = np.add.reduceat(there, first, axis=0, dtype=np.int64)
    total = np.add.reduceat(np.where(there, values, 0.0), first, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / np.where(count > 0, count, np.nan)


def _in_slots(time_ns: np.ndarray, values: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Means of a sensor's samples in each slot (len(slots), columns); NaN where it has none."""
    found = np.full((len(slots), values.shape[1]), np.nan)
    slot = time_ns // SLOT_NS
    first = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
    place = np.searchsorted(slots, slot[first])
    hit = (place < len(slots)) & (slots[place.clip(0, len(slots) - 1)] == slot[first])
    found[place[hit]] = _means(values, first)[hit]
    return found


def _location(samples: _Samples, slots: np.ndarray) -> dict[str, np.ndarray]:
    columns = {}
    for field, names in (
        ("speed", ("speed",)),
        ("course", ("bearing", "course")),
        ("horizontal_accuracy", ("horizontalAccuracy",)),
        ("vertical_accuracy", ("verticalAccuracy",)),
    ):
        for name in names:
            if name in samples.values:
                # any negative value means unknown; ours is -1
                values = np.maximum(samples.values[name], -1.0)
                columns[field] = _in_slots(samples.time_ns, values[:, None], slots)[:, 0]
                break
    return columns


def _steps(samples: _Samples, slots: np.ndarray, before: float | None) -> tuple[np.ndarray, float | None]:
    """Steps since the last reading, and the value of the counter; a counter that went back was reset."""
    column = np.full(len(slots), np.nan)
    for time_ns, count in zip(samples.time_ns.tolist(), samples.values["steps"].tolist(), strict=True):
        if not np.isfinite(count):
            continue
        if before is not None:
            place = int(np.searchsorted(slots, time_ns // SLOT_NS).clip(0, len(slots) - 1))
            made = count - before if count >= before else count
            column[place] = made + np.nan_to_num(column[place])
        before = count
    return column, before


def _table(device: str, columns: Mapping[str, np.ndarray], n: int, battery: str | None) -> pa.Table:
    arrays = []
    for field in FIELDS:
        if field.name == "device_id":
            arrays.append(pa.repeat(pa.scalar(device), n))
        elif field.kind == "stamp":
            arrays.append(pa.array(columns["stamp"].astype(np.int64)).cast(pa.timestamp("us", "UTC")))
        elif field.name == "battery_state":
            arrays.append(pa.repeat(pa.scalar(battery, pa.string()), n))
        elif field.kind == "float" and field.name in columns:
            values = np.asarray(columns[field.name], np.float32)
            arrays.append(pa.array(values, mask=~np.isfinite(values)))
        else:
            arrays.append(pa.nulls(n, pa.float32() if field.kind == "float" else pa.string()))
    return pa.Table.from_arrays(arrays, schema=arrow_schema())
