"""Pushes of Sensor Logger: units, signs, rates and gaps; readings are as the watch would have sent them."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.errors import DataError
from activitymodule.settings import Telemetry, Windows
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.telemetry.encode import messages
from activitymodule.telemetry.sources.sensor_logger import readings_of_push
from activitymodule.windows.assembling import assemble
from activitymodule.windows.packing import to_records
from activitymodule.windows.panes import windows_of

NOW_NS = 1_790_000_000_000_000_000
G = 9.80665


def push(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messageId": 1, "sessionId": "s", "deviceId": "phone-1", "payload": list(entries), **more}


def sample(name: str, at_ms: float, **values: Any) -> dict[str, Any]:
    return {"name": name, "time": str(NOW_NS + int(at_ms * 1e6)), "values": values}


def phone(seconds: float, hz: int, sign: float = 1.0) -> list[dict[str, Any]]:
    """Face up and shaken along x by 2 m/s2, with the signs of iOS (1) or Android (-1)."""
    entries = []
    for k in range(int(seconds * hz)):
        at = k * 1000 / hz
        entries.append(sample("accelerometer", at, x=sign * 2.0, y=0.0, z=0.0))
        entries.append(sample("gravity", at + 1, x=0.0, y=0.0, z=sign * -G))
        entries.append(sample("gyroscope", at, x=0.1, y=0.2, z=-0.3))
    return entries


@pytest.mark.parametrize(("frame", "sign"), [("core-motion", 1.0), ("android", -1.0)])
def test_a_phone_at_100_hz_becomes_readings_at_10_hz_in_g(frame: Any, sign: float):
    pushed = readings_of_push(push(*phone(2, 100, sign)), frame=frame)
    # each sensor has readings of its own; a window puts those of a tenth together
    windows = windows_of(pushed.readings, Windows())
    (first, *_) = assemble(windows.window_start_us, windows.panes, Windows()).grid[-1:]
    measured = first[np.isfinite(first).any(axis=1)]
    assert len(measured) == 20
    np.testing.assert_allclose(measured[:, :6], np.tile([2 / G, 0, -1, 0.1, 0.2, -0.3], (20, 1)), atol=1e-6)
    assert pushed.samples == 600
    assert pushed.passed_over == {}


@pytest.mark.parametrize("standardised", [False, True])
def test_the_units_of_a_watch_follow_from_the_size_of_its_gravity(standardised: bool):
    unit = -G if standardised else 1.0
    pushed = readings_of_push(
        push(*(
            sample("wrist motion", k * 20, accelerationX=0.5 * unit, accelerationY=0, accelerationZ=0,
                   gravityX=0.6 * unit, gravityY=0, gravityZ=-0.8 * unit,
                   rotationRateX=1, rotationRateY=2, rotationRateZ=3)
            for k in range(50)
        ))
    )  # fmt: skip
    total = to_records(pushed.readings)["values"][:, :3]
    np.testing.assert_allclose(total, np.tile([1.1, 0, -0.8], (10, 1)), atol=1e-6)
    np.testing.assert_allclose(np.sin(pushed.readings.column("roll").to_numpy()), 0.6, atol=1e-6)


def test_a_total_acceleration_is_separated_and_adds_up_again():
    entries = [sample("totalacceleration", k * 20, x=0.0, y=3.0 * (k % 2), z=G) for k in range(500)]
    pushed = readings_of_push(push(*entries), frame="android")
    total = to_records(pushed.readings)["values"][:, :3]
    np.testing.assert_allclose(total[:, 2], -1, atol=1e-5)
    np.testing.assert_allclose(total[:, 1], -1.5 / G, atol=0.04)


def test_heart_rate_speed_and_steps_are_in_the_reading_of_their_time():
    before = readings_of_push(push(sample("pedometer", -500, steps=8))).steps
    entries = [
        *phone(3, 50),
        sample("heart rate", 1050, bpm=71),
        sample("location", 2050, speed=-5, bearing=90, horizontalAccuracy=4),
        sample("pedometer", 1050, steps=10),
        sample("pedometer", 2050, steps=14),
    ]
    pushed = readings_of_push(push(*entries), steps_before=before)
    rows = pushed.readings.to_pylist()
    assert [(r["device_id"], r["heart_rate"]) for r in rows if r["heart_rate"]] == [("phone-1-watch", 71.0)]
    moved = [row for row in rows if row["pitch"] is not None]
    assert [row["speed"] for row in moved] == [None] * 30
    assert [(row["speed"], row["course"]) for row in rows if row["speed"] is not None] == [(-1.0, 90.0)]
    stepped = [(row["stamp"].timestamp() - NOW_NS / 1e9, row["steps"]) for row in rows if row["steps"]]
    assert stepped == [pytest.approx((1.05, 2), abs=1e-5), pytest.approx((2.05, 4), abs=1e-5)]
    assert pushed.steps.counts == (8, 10, 14)


def test_two_pushes_that_split_a_tenth_lose_nothing():
    entries = phone(1, 100)
    cut = (
        [e for e in entries if int(e["time"]) < NOW_NS + 455_000_000],
        [e for e in entries if int(e["time"]) >= NOW_NS + 455_000_000],
    )
    rows = [row for part in cut for row in readings_of_push(push(*part)).readings.to_pylist()]
    assert len({row["stamp"] for row in rows}) == len(rows)
    for field in ("pitch", "rotation_rate_x"):
        assert sum(row[field] is not None for row in rows) == 11


def test_readings_pass_the_same_validation_as_every_message():
    pushed = readings_of_push(push(*phone(2, 100), sample("battery", 5, batteryState="full", batteryLevel=1)))
    values = messages(pushed.readings, 10).value
    decoded = decode_messages(pa.array(values), now_us=NOW_NS // 1000, limits=Telemetry())
    assert decoded.dead.num_rows == 0
    assert decoded.readings.select(pushed.readings.column_names).equals(pushed.readings)


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ([], "payload"),
        ({"payload": 3}, "payload"),
        (push(deviceId="a b"), "deviceId"),
        (push({"time": 1}), "item 0"),
        (push({"name": "accelerometer"}), "item 0"),
        (push({"name": "accelerometer", "time": -1}), "item 0"),
        (push({"name": "accelerometer", "time": 1e40}), "item 0"),
        (push({"name": "accelerometer", "time": 5, "values": 3}), "item 0"),
    ],
)
def test_another_payload_is_rejected_with_its_place(what: object, place: str):
    with pytest.raises(DataError) as rejected:
        readings_of_push(what)
    assert place in str(rejected.value)


def test_unused_sensors_are_counted_and_without_acceleration_there_is_no_reading():
    pushed = readings_of_push(
        push(sample("microphone", 0, dBFS=-20), sample("accelerometer", 0, x=1, y=1, z=1))
    )
    assert len(pushed.readings) == 0
    assert pushed.passed_over == {"microphone": 1, "accelerometer": 1}


_VALUES = st.dictionaries(
    st.sampled_from(
        [
            "x",
            "y",
            "z",
            "bpm",
            "steps",
            "speed",
            "pitch",
            "roll",
            "yaw",
            "gravityX",
            "accelerationX",
            "batteryState",
        ]
    ),
    st.one_of(
        st.floats(),
        st.integers(),
        st.none(),
        st.text(max_size=3),
        st.booleans(),
        st.just("71.5"),
        st.just([1]),
    ),
)
_ENTRY = st.fixed_dictionaries(
    {
        "name": st.sampled_from(
            ["watch location",
             "accelerometer", "gravity", "gyroscope", "orientation", "wristMotion", "heartRate", "pedometer",
             "location", "battery", "Total Acceleration", "other"]
        ),
        "time": st.integers(NOW_NS, NOW_NS + 3_000_000_000),
        "values": _VALUES,
    }
)  # fmt: skip


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.lists(_ENTRY, max_size=30))
def test_any_samples_become_valid_readings_or_none(entries: list[dict[str, Any]]):
    pushed = readings_of_push(push(*entries))
    order = [(row["device_id"], row["stamp"]) for row in pushed.readings.to_pylist()]
    assert order == sorted(order)
    assert 0 <= sum(pushed.passed_over.values()) <= len(entries)
    for value in messages(pushed.readings, 10).value:
        orjson.loads(value)
