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
| `heartrate` | bpm | heart_rate |
| `pedometer` | steps since the start | steps since the sample before it, in a reading of their own |
| `location`, `watchlocation` | m/s, degrees, m | speed, course, accuracies; no position |
| `battery` | text | battery_state |

Wrist motion, heart rate and watch location are a watch's, all others the phone's. The two are worn in different
places, so they are two devices, DEVICE and DEVICE-watch, whatever a push happens to hold of each.

Axes stick to the device on all platforms, but on Android (and wherever "Standardise Units & Frames" is on)
accelerations have the opposite sign of Core Motion, whose frame is ours: say `android`. No feature of a window depends
on it. Samples come at 50 or 100 Hz: those of one tenth of a second of UTC are averaged into one reading, which
carries the time of the first of them, so that a push that ends within a tenth loses nothing. A sample without others
in its tenth makes a reading of its own; one that no reading can take is counted.
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
    SLOT_NS,
    Motion,
    Samples,
    acceleration,
    in_slots,
    rotation,
)
from activitymodule.telemetry.sources.sensor_steps import StepCounter

Frame = Literal["core-motion", "android"]

MOST_SAMPLES = 200_000  # of one push
WATCH = "-watch"
"""What the device id of a watch has after that of its phone."""

_WATCH_SENSORS = frozenset({"wristmotion", "heartrate", "watchlocation"})
_BATTERY = ("charging", "unplugged", "full", "unknown")
_LOCATION = {
    "speed": ("speed",),
    "course": ("bearing", "course"),
    "horizontal_accuracy": ("horizontalAccuracy",),
    "vertical_accuracy": ("verticalAccuracy",),
}
_MOST_NAMES = 100  # of sensors that are counted each by its name
_NUMBER = re.compile(r"\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*")


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
        body = _Body({n: s for n, s in sensors.items() if (n in _WATCH_SENSORS) is worn}, sign, passed)
        if not worn:
            steps = body.add_steps(steps)
            body.add_battery(battery)
        tables.append(body.readings(name))
    return Pushed(device, pa.concat_tables(tables), len(payload), _named(passed), steps)


def _named(passed: Counter[str]) -> dict[str, int]:
    """Counts by sensor; of more names than anybody reads, the rest together."""
    most = dict(passed.most_common(_MOST_NAMES))
    rest = passed.total() - sum(most.values())
    return {name: n for name, n in most.items() if n} | ({"others": rest} if rest else {})


class _Body:
    """One device of a push: what its sensors add to readings, each on its own times.

    sensors : of this device; passed : counts the samples that add nothing.
    """

    def __init__(self, sensors: Mapping[str, Samples], sign: float, passed: Counter[str]) -> None:
        self._passed = passed
        self._fields: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # field -> times, values, both (n,)
        self._battery: list[tuple[int, str]] = []
        self._steps = (np.empty(0, np.int64), np.empty(0))  # times, steps
        self._used = {name: np.zeros(len(samples.time_ns), bool) for name, samples in sensors.items()}
        self._sensors = sensors
        self._motion: Motion | None = acceleration(sensors, sign)
        self._take_motion()
        self._take_others()

    def _add(self, sensor: str, field: str, values: np.ndarray) -> None:
        known = np.isfinite(values)
        self._used[sensor] |= known
        if known.any():
            self._fields[field] = (self._sensors[sensor].time_ns[known], values[known])

    def _take_motion(self) -> None:
        motion = self._motion
        if motion is not None:
            self._used[motion.sensor] |= motion.known
            if motion.sensor == "accelerometer" and motion.known.any():
                # what the gravity came from
                source = "gravity" if "gravity" in self._sensors else "orientation"
                values = self._sensors[source].values
                self._used[source] |= np.isfinite(np.stack(list(values.values()))).any(axis=0)
        turned = rotation(self._sensors)
        if turned is not None:
            for i, axis in enumerate(AXES):
                self._add(turned[0], f"rotation_rate_{axis}", turned[2][:, i])

    def _take_others(self) -> None:
        for sensor, name, field in (("orientation", "yaw", "yaw"), ("heartrate", "bpm", "heart_rate")):
            if sensor in self._sensors and name in self._sensors[sensor].values:
                values = self._sensors[sensor].values[name]
                self._add(sensor, field, np.where(values > 0, values, np.nan) if name == "bpm" else values)
        for sensor in ("watchlocation", "location"):
            samples = self._sensors.get(sensor)
            for field, names in _LOCATION.items():
                given = [one for one in names if samples is not None and one in samples.values]
                if samples is not None and given:
                    # any negative value means unknown; ours is -1
                    self._add(sensor, field, np.maximum(samples.values[given[0]], -1.0))

    def add_steps(self, before: StepCounter) -> StepCounter:
        """The steps of the pedometer's samples; returns the counter after them."""
        samples = self._sensors.get("pedometer")
        if samples is None or "steps" not in samples.values:
            return before
        self._used["pedometer"] |= np.isfinite(samples.values["steps"])
        at, steps, after = before.after(samples.time_ns, samples.values["steps"])
        self._steps = (at, steps)
        return after

    def add_battery(self, states: list[tuple[int, str]]) -> None:
        """The battery's states by time."""
        self._battery = states

    def readings(self, device: str) -> pa.Table:
        """The readings, in time order; counts what is in none of them."""
        for name, used in self._used.items():
            self._passed[name] += int((~used).sum())
        times = [at for at, _ in self._fields.values()] + [
            np.array([at for at, _ in self._battery], np.int64)
        ]
        motion = self._motion
        moved = np.empty(0, np.int64) if motion is None else motion.time_ns[motion.known]
        slots = np.unique(np.concatenate([moved, *times]) // SLOT_NS)
        columns = {} if motion is None else motion.columns(slots)
        columns |= {n: in_slots(at, v[:, None], slots)[:, 0] for n, (at, v) in self._fields.items()}
        stamps = np.full(len(slots), np.iinfo(np.int64).max)
        # of the acceleration where there is one, so that the reading does not depend on what comes along
        for at in (moved, *times):
            free = ~np.isin(at // SLOT_NS, moved // SLOT_NS) if at is not moved else np.ones(len(at), bool)
            np.minimum.at(stamps, np.searchsorted(slots, at[free] // SLOT_NS), at[free])
        battery = np.full(len(slots), None, object)
        for at, state in self._battery:
            battery[np.searchsorted(slots, at // SLOT_NS)] = state
        # steps depend on the pushes before; so they are readings of their own, a microsecond after their sample
        at, steps = self._steps
        apart = _table(device, at // 1000 + 1, {"steps": steps}, np.full(len(at), None, object))
        return pa.concat_tables([_table(device, stamps // 1000, columns, battery), apart]).sort_by("stamp")


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
    return {name: _samples(found) for name, found in rows.items()}, sorted(battery), passed


def _time(value: object) -> int | None:
    """Nanoseconds of UTC from a number or its text; None where it is none."""
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 < value < 2**63 else None


def _samples(rows: list[tuple[int, dict[str, object]]]) -> Samples:
    rows.sort(key=lambda row: row[0])
    names = sorted({key for _, values in rows for key in values} - {"name", "time", "values", "accuracy"})
    time_ns = np.array([time_ns for time_ns, _ in rows], np.int64)
    table = np.array([[_number(values.get(name)) for name in names] for _, values in rows]).reshape(
        len(rows), -1
    )
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


def _table(
    device: str, stamp_us: np.ndarray, columns: Mapping[str, np.ndarray], battery: np.ndarray
) -> pa.Table:
    n = len(stamp_us)
    arrays = []
    for field in FIELDS:
        if field.name == "device_id":
            arrays.append(pa.repeat(pa.scalar(device), n))
        elif field.kind == "stamp":
            arrays.append(pa.array(stamp_us.astype(np.int64)).cast(pa.timestamp("us", "UTC")))
        elif field.name == "battery_state":
            arrays.append(pa.array(battery.tolist(), pa.string()))
        elif field.kind == "float" and field.name in columns:
            with np.errstate(over="ignore"):  # beyond a float32 is beyond any field
                values = np.asarray(columns[field.name], np.float32)
            arrays.append(pa.array(values, mask=~np.isfinite(values)))
        else:
            arrays.append(pa.nulls(n, pa.float32() if field.kind == "float" else pa.string()))
    return pa.Table.from_arrays(arrays, schema=arrow_schema())
