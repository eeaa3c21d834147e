"""Sensor Logger (an app for phones and watches): its HTTP push to canonical readings.

A push is {messageId, sessionId, deviceId, payload: [{name, time, values: {...}}, ...]}; time is UTC nanoseconds (as
text or number), and older versions have the values beside the name. Units and frames, by the app's own reference
(github.com/tszheichoi/awesome-sensor-logger, UNITS.md, COORDINATES.md):

| sensor | unit there | here |
|---|---|---|
| `accelerometer` (gravity removed), `gravity` | m/s2 | by 9.80665: g; the two added are the total acceleration |
| `totalacceleration` (Android) | m/s2, with gravity | g; the attitude is the direction of the total itself |
| `wristmotion` (Apple Watch) | g; m/s2 where units are standardised | g; recognised by the size of its gravity |
| `gyroscope` | rad/s | rotation_rate_* |
| `orientation` | rad | yaw; pitch and roll only where no gravity comes along |
| `heartrate` | bpm | heart_rate |
| `pedometer` | steps since the start | steps since the sample before it |
| `location`, `watchlocation` | m/s, degrees, m | speed, course, accuracies; no position |
| `battery` | text | battery_state |

Wrist motion, heart rate and watch location are a watch's, all others the phone's. The two are worn in different
places, so they are two devices, DEVICE and DEVICE-watch, whatever a push happens to hold of each.

Axes stick to the device on all platforms, but on Android (and wherever "Standardise Units & Frames" is on)
accelerations have the opposite sign of Core Motion, whose frame is ours: say `android`. No feature of a window depends
on it. Samples come at 50 or 100 Hz: those of one sensor and one tenth of a second of UTC are averaged into one reading.

Pushes overtake each other, come again, and need not hold the same sensors. So each sensor makes readings of its own,
which do not depend on what comes along; windows put those of one tenth together again. Only two sensors need another:
an acceleration needs the gravity (or the attitude) of its tenth, or of the second around it, in the same push, and
steps are the difference to the counter's sample before. A reading has the time of the first of its samples, so a push
that ends within a tenth loses nothing; the last digit of its microseconds is the sensor's number, so two sensors never
meet in one stamp. A sample that no reading takes is counted.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from activitymodule.errors import DataError
from activitymodule.telemetry.identifiers import DEVICE_ID_TEXT, is_device_id
from activitymodule.telemetry.schema import FIELDS, arrow_schema
from activitymodule.telemetry.sources.sensor_motion import (
    AXES,
    ROTATION,
    Samples,
    accelerations,
    in_slots,
)
from activitymodule.telemetry.sources.sensor_steps import StepCounter

Frame = Literal["core-motion", "android"]

MOST_SAMPLES = 200_000  # of one push
WATCH = "-watch"
"""What the device id of a watch has after that of its phone."""

_WATCH_SENSORS = frozenset({"wristmotion", "heartrate", "watchlocation"})
# the last digit of a reading's stamp in microseconds: no two sensors share one
_STAMP_STEP = 10
_STAMP_DIGIT = {
    "accelerometer": 0,
    "pedometer": 1,
    "totalacceleration": 2,
    "gyroscope": 3,
    "orientation": 4,
    "heartrate": 5,
    "location": 6,
    "battery": 7,
    "wristmotion": 8,
    "watchlocation": 9,
}
_BATTERY = ("charging", "unplugged", "full", "unknown")
_LOCATION = {
    "speed": ("speed",),
    "course": ("bearing", "course"),
    "horizontal_accuracy": ("horizontalAccuracy",),
    "vertical_accuracy": ("verticalAccuracy",),
}
_MOST_NAMES = 100  # of sensors that are counted each by its name
_NUMBER = re.compile(r"[ \t\r\n]*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?[ \t\r\n]*")


@dataclass(frozen=True)
class Pushed:
    """A push as readings.

    device_id : of the phone; readings : canonical readings by device and time; samples : samples received;
    passed_over : sensor -> samples that no reading takes; steps : the step counter, for the next push of the session.
    """

    device_id: str
    readings: pa.Table
    samples: int
    passed_over: dict[str, int]
    steps: StepCounter


def readings_of_push(
    push: object,
    *,
    frame: Frame = "core-motion",
    device_id: str | None = None,
    steps_before: StepCounter | None = None,
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
    sensors, battery, passed = _by_sensor(payload)
    sign = -1.0 if frame == "android" else 1.0
    steps = steps_before or StepCounter()
    tables = []
    for name, worn in ((device, False), (device[: 128 - len(WATCH)] + WATCH, True)):
        own = {n: s for n, s in sensors.items() if (n in _WATCH_SENSORS) is worn}
        body = _Body(name, own, sign, passed)
        if not worn:
            steps = body.add_steps(steps)
            body.add_battery(battery)
        tables.append(body.readings())
    return Pushed(device, pa.concat_tables(tables), len(payload), _named(passed), steps)


def _named(passed: Counter[str]) -> dict[str, int]:
    """Counts by sensor; of more names than anybody reads, the rest together."""
    most = dict(passed.most_common(_MOST_NAMES))
    rest = passed.total() - sum(most.values())
    return {name: n for name, n in most.items() if n} | ({"others": rest} if rest else {})


class _Body:
    """One device of a push: the readings that its sensors make.

    sensors : of this device; passed : counts the samples that are in no reading.
    """

    def __init__(
        self, device: str, sensors: Mapping[str, Samples], sign: float, passed: Counter[str]
    ) -> None:
        self._device, self._sensors, self._passed = device, sensors, passed
        self._used = {name: np.zeros(len(samples.time_ns), bool) for name, samples in sensors.items()}
        self._tables: list[pa.Table] = []
        self._add_motion(sign)
        self._add_others()

    def _add(self, sensor: str, time_ns: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
        stamp_us = time_ns // 1000 // _STAMP_STEP * _STAMP_STEP + _STAMP_DIGIT[sensor]
        self._tables.append(_table(self._device, stamp_us, columns))

    def _average(self, sensor: str, fields: Mapping[str, np.ndarray]) -> None:
        """Values (n,) of a sensor's samples as a reading for each tenth of a second."""
        samples, values = self._sensors[sensor], np.stack(list(fields.values()), axis=1)
        known = np.isfinite(values).any(axis=1)
        self._used[sensor] |= known
        first, means = in_slots(samples.time_ns[known], values[known])
        self._add(sensor, first, dict(zip(fields, means.T, strict=True)))

    def _add_motion(self, sign: float) -> None:
        for motion in accelerations(self._sensors, sign):
            self._used[motion.sensor] |= motion.known
            if motion.gravity_from is not None:
                sensor, near = motion.gravity_from
                self._used[sensor] |= near
            self._add(motion.sensor, *motion.readings())

    def _add_others(self) -> None:
        gyroscope = self._sensors.get("gyroscope")
        turned = gyroscope.matrix(AXES) if gyroscope is not None else None
        if turned is not None:
            self._average("gyroscope", dict(zip(ROTATION, turned.T, strict=True)))
        yaw = self._values("orientation", "yaw")
        if yaw is not None:
            known = np.isfinite(yaw)
            self._used["orientation"] |= known
            # angles are averaged as directions: the mean of 3.1 and -3.1 is not 0
            first, around = in_slots(
                self._sensors["orientation"].time_ns[known],
                np.stack([np.sin(yaw[known]), np.cos(yaw[known])], axis=1),
            )
            self._add("orientation", first, {"yaw": np.arctan2(around[:, 0], around[:, 1])})
        beats = self._values("heartrate", "bpm")
        if beats is not None:
            self._average("heartrate", {"heart_rate": np.where(beats > 0, beats, np.nan)})
        for sensor in ("watchlocation", "location"):
            values = {
                field: next((v for name in names if (v := self._values(sensor, name)) is not None), None)
                for field, names in _LOCATION.items()
            }
            # any negative value means unknown; ours is -1
            given = {field: np.maximum(v, -1.0) for field, v in values.items() if v is not None}
            if given:
                self._average(sensor, given)

    def _values(self, sensor: str, name: str) -> np.ndarray | None:
        samples = self._sensors.get(sensor)
        return samples.values.get(name) if samples is not None else None

    def add_steps(self, before: StepCounter) -> StepCounter:
        """The steps of the pedometer's samples; returns the counter after them."""
        counts = self._values("pedometer", "steps")
        if counts is None:
            return before
        self._used["pedometer"] |= np.isfinite(counts)
        at, steps, after = before.after(self._sensors["pedometer"].time_ns, counts)
        self._add("pedometer", at, {"steps": steps})
        return after

    def add_battery(self, states: list[tuple[int, str]]) -> None:
        """The battery's states, in order of time; each is a reading."""
        if states:
            at, texts = zip(*states, strict=True)
            self._add("battery", np.array(at, np.int64), {"battery_state": np.array(texts, object)})

    def readings(self) -> pa.Table:
        """The readings, in time order; counts what is in none of them."""
        for name, used in self._used.items():
            self._passed[name] += int((~used).sum())
        return pa.concat_tables([arrow_schema().empty_table(), *self._tables]).sort_by("stamp")


def _by_sensor(payload: list[object]) -> tuple[dict[str, Samples], list[tuple[int, str]], Counter[str]]:
    """Samples of each sensor (its name in small letters without spaces), the battery's states by time, and counts of
    states that are none."""
    rows: dict[str, list[tuple[int, dict[str, object]]]] = defaultdict(list)
    battery: list[tuple[int, str]] = []
    passed = Counter[str]()
    for number, entry in enumerate(payload):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise DataError(f"item {number} of the payload has no name of a sensor")
        time_ns = _time(entry.get("time"))
        if time_ns is None:
            raise DataError(f"item {number} of the payload has no time in nanoseconds of UTC")
        values = entry.get("values", entry)
        if not isinstance(values, dict):
            raise DataError(f"item {number} of the payload has values that are not an object")
        name = re.sub(r"[\s_-]", "", entry["name"]).lower()[:64].encode("utf-8", "replace").decode()
        if name != "battery":
            rows[name].append((time_ns, values))
        elif (state := values.get("batteryState")) in _BATTERY:
            battery.append((time_ns, str(state)))
        else:
            passed[name] += 1
    return {name: _samples(found) for name, found in rows.items()}, sorted(set(battery)), passed


def _time(value: object) -> int | None:
    """Nanoseconds of UTC from a number or its text; None where it is none."""
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 < value < 2**63 else None


def _samples(rows: list[tuple[int, dict[str, object]]]) -> Samples:
    names = sorted({key for _, values in rows for key in values} - {"name", "time", "values", "accuracy"})
    time_ns = np.array([time_ns for time_ns, _ in rows], np.int64)
    table = np.array([[_number(values.get(name)) for name in names] for _, values in rows]).reshape(
        len(rows), -1
    )
    order = np.lexsort((*table.T, time_ns))
    time_ns, table = time_ns[order], table[order]
    # a sample that was sent twice counts once
    same = np.r_[False, (np.diff(time_ns) == 0) & _equal(table[1:], table[:-1]).all(axis=1)]
    time_ns, table = time_ns[~same], table[~same]
    return Samples(
        time_ns, {name: table[:, i] for i, name in enumerate(names) if np.isfinite(table[:, i]).any()}
    )


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


def _number(value: object) -> float:
    """A finite number, or its text, or NaN: other text and booleans are none."""
    if isinstance(value, str) and len(value) < 64 and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return np.nan
    try:
        number = float(value)
    except OverflowError:
        return np.nan
    return number if np.isfinite(number) else np.nan


def _table(device: str, stamp_us: np.ndarray, columns: Mapping[str, np.ndarray]) -> pa.Table:
    n = len(stamp_us)
    arrays = []
    for field in FIELDS:
        values = columns.get(field.name)
        if field.name == "device_id":
            arrays.append(pa.repeat(pa.scalar(device), n))
        elif field.kind == "stamp":
            arrays.append(pa.array(stamp_us.astype(np.int64)).cast(pa.timestamp("us", "UTC")))
        elif field.kind != "float":
            arrays.append(pa.nulls(n, pa.string()) if values is None else pa.array(values, pa.string()))
        elif values is None:
            arrays.append(pa.nulls(n, pa.float32()))
        else:
            with np.errstate(over="ignore"):  # beyond a float32 is beyond any field
                values = np.asarray(values, np.float32)
            arrays.append(pa.array(values, mask=~np.isfinite(values)))
    return pa.Table.from_arrays(arrays, schema=arrow_schema())
