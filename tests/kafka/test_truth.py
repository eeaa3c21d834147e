"""Messages of the truth topic as spans."""

from __future__ import annotations

from activitymodule.kafka.truth import parse_spans


def test_messages_that_are_no_spans_are_left_out():
    good = b'{"device_id":"a","start":"2026-11-20T10:00:00Z","end":"2026-11-20T10:00:10.5+00:00","activity":"sit"}'
    assert parse_spans([good]).to_pylist() == [
        {
            "device_id": "a",
            "start_us": 1_795_168_800_000_000,
            "end_us": 1_795_168_810_500_000,
            "activity": "sit",
            "kcal_per_min": None,
        }
    ]
    bad = [b"no json", b"{}", good.replace(b"10:00:00Z", b"tea time"), good.replace(b'"a"', b"7")]
    assert parse_spans([*bad, good, *bad]).num_rows == 1
    assert parse_spans([]).num_rows == 0
