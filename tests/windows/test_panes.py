"""Panes of messages hold the same records as panes of decoded readings, to the last bit."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from activitymodule.settings import Telemetry
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.windows import packing
from activitymodule.windows.grouping import PANES_SCHEMA
from activitymodule.windows.panes import arrival_us, decode_panes

NOW_US = 1_790_000_000_000_000
LIMITS = Telemetry()
START = 1_789_900_000_000

number = st.one_of(st.none(), st.floats(-3, 3, width=32))
readings = st.builds(
    lambda device, ms, x, pitch, rate, bad: {
        "device_id": device,
        "stamp": START + ms,
        "user_acceleration_x": x,
        "user_acceleration_y": 0.25,
        "user_acceleration_z": pitch,
        "pitch": pitch,
        "roll": 0.5,
        "heart_rate": rate,
        "yaw": 0.1,
        **bad,
    },
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 40_000),
    number,
    number,
    st.sampled_from([None, 60, 61.5]),
    st.sampled_from([{}, {}, {}, {"speed": "x"}, {"heart_rate": 999}]),
)
batches = st.lists(st.one_of(readings, st.lists(readings, min_size=1, max_size=12)), max_size=50)


@examples(max_examples=60, deadline=None)
@given(batches, st.sampled_from([1, 5, 10]))
def test_panes_hold_the_readings(batch: list, slide_seconds: int) -> None:
    values = pa.array([json.dumps(message).encode() for message in batch], pa.binary())
    kafka_us = NOW_US + np.arange(len(batch))
    panes, dead = decode_panes(values, kafka_us, now_us=NOW_US, limits=LIMITS, slide_seconds=slide_seconds)
    decoded = decode_messages(values, now_us=NOW_US, limits=LIMITS)
    assert panes.schema == PANES_SCHEMA
    panes.validate(full=True)
    assert dead.equals(decoded.dead)
    assert sum(panes.column("n").to_pylist()) == len(decoded.readings)

    table = decoded.readings
    records = packing.to_records(table)
    devices = np.array(table.column("device_id").to_pylist(), object)
    message = table.column("message").to_numpy()
    seen = set()
    for pane in panes.to_pylist():
        packed = np.frombuffer(pane["packed"], packing.RECORD)
        slide = packed["stamp_us"] // (slide_seconds * 1_000_000)
        assert len(set(slide)) == 1
        key = (pane["device_id"], slide[0])
        assert key not in seen
        seen.add(key)
        mine = (devices == pane["device_id"]) & (
            records["stamp_us"] // (slide_seconds * 1_000_000) == slide[0]
        )
        expected = records[mine]
        expected = expected[np.argsort(expected["stamp_us"], kind="stable")]
        assert packed.tobytes() == expected.tobytes()
        assert pane["n"] == len(packed)
        assert pane["stamp"].timestamp() * 1e6 == packed["stamp_us"].max()
        assert pane["kafka_at"].timestamp() * 1e6 == kafka_us[message[mine]].max()


def test_fields_that_are_not_packed_do_not_matter_to_the_stream() -> None:
    values = pa.array(
        [b'{"device_id":"a","stamp":1789900000000,"yaw":"north","latitude_distance_from_mean":1e9}']
    )
    panes, dead = decode_panes(values, np.array([1]), now_us=NOW_US, limits=LIMITS, slide_seconds=10)
    assert (panes.num_rows, len(dead)) == (1, 0)


def test_stamps_are_compared_with_the_brokers_time_or_now() -> None:
    create_time, log_append_time = 0, 1
    compared = arrival_us(np.array([5, 5]), np.array([create_time, log_append_time]))
    assert compared[0] > NOW_US - 10**15
    assert compared[1] == 5


def test_nothing() -> None:
    panes, dead = decode_panes(
        pa.array([], pa.binary()), np.array([], np.int64), now_us=NOW_US, limits=LIMITS, slide_seconds=10
    )
    assert (panes.num_rows, panes.schema, len(dead)) == (0, PANES_SCHEMA, 0)
