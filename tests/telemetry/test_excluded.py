"""Excluded times of watches: windows, messages, and what is no message."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from activitymodule.settings import load
from activitymodule.telemetry.excluded import EVER_US, NEVER_US, Excluded, fingerprint

LIMITS = load({}).telemetry
T = 1_790_000_000_000_000
GONE = Excluded({"a": ((T, T + 60_000_000),)}, {b"s": {fingerprint(b"s", "b"): ((EVER_US, NEVER_US),)}})


def reading(device: str, us: int) -> dict[str, object]:
    return {"device_id": device, "stamp": us // 1000, "user_acceleration_x": 0.1}


def without(*messages: object) -> list[object]:
    values = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
    left = GONE.without(pa.array(values, pa.binary()), np.full(len(values), T + 1), LIMITS).to_pylist()
    return [
        one if one is None or one == value else json.loads(one)
        for one, value in zip(left, values, strict=True)
    ]


def test_a_window_that_overlaps_an_excluded_time_is_excluded():
    devices = pa.array(["a", "a", "a", "a", "b", "c"])
    start = np.array([T - 10_000_000, T - 9_000_000, T + 59_000_000, T + 60_000_000, 0, T])
    assert GONE.rows(devices, start, 10_000_000).tolist() == [False, True, True, False, True, False]
    assert not Excluded().rows(devices, start, 10_000_000).any()
    assert not Excluded()


def test_messages_lose_excluded_readings_and_nothing_else():
    kept = json.dumps(reading("c", T)).encode()
    assert without(reading("a", T), kept, reading("a", T - 1_000_000)) == [
        None,
        kept,
        json.dumps(reading("a", T - 1_000_000)).encode(),
    ]
    mixed = [reading("a", T), reading("c", T), reading("b", T), reading("a", T + 60_000_000)]
    assert without(mixed) == [[mixed[1], mixed[3]]]


def test_what_cannot_be_read_is_left_out_where_it_names_an_excluded_watch():
    nothing = b'{"device_id": "c", '
    assert without(b'{"device_id": "b", ', b'{"device_id": "a", ', nothing) == [None, None, nothing]
    # no time, so that of its arrival
    assert without({"device_id": "a"}, [{"device_id": "a", "stamp": "?"}, reading("c", T)]) == [
        None,
        [reading("c", T)],
    ]
    assert without(rb'{"device_id": "\u0061", "stamp": %d}' % (T // 1000)) == [None]
