"""Messages of the truth topic as spans."""

from __future__ import annotations

import json

import pytest
from damage import damaged
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.kafka.truth import parse_spans, parse_truth
from activitymodule.models.evaluation.against_truth import SPAN_SCHEMA

GOOD = (
    b'{"device_id":"a","start":"2026-11-20T10:00:00Z","end":"2026-11-20T10:00:10.5+00:00","activity":"sit"}'
)


def having(**values: object) -> bytes:
    return json.dumps({**json.loads(GOOD), **values}).encode()


def test_messages_that_are_no_spans_are_left_out():
    assert parse_spans([GOOD]).to_pylist() == [
        {
            "device_id": "a",
            "start_us": 1_795_168_800_000_000,
            "end_us": 1_795_168_810_500_000,
            "activity": "sit",
            "kcal_per_min": None,
        }
    ]
    bad = [b"no json", b"{}", GOOD.replace(b"10:00:00Z", b"tea time"), GOOD.replace(b'"a"', b"7")]
    assert parse_spans([*bad, GOOD, *bad]).num_rows == 1
    assert parse_spans([]).num_rows == 0


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"null", "not_an_object"),  # Arrow's reader of JSON ends the process on it (apache/arrow#47409)
        (b"[null]", "not_an_object"),
        (b" 7 ", "not_an_object"),
        (None, "empty"),  # a tombstone
        (b"", "empty"),
        (b"\xef\xbb\xbf" + GOOD, "wrong_encoding"),
        (GOOD.replace(b"sit", b"\xff"), "wrong_encoding"),
        (GOOD.replace(b"sit", b"s\0t"), "wrong_encoding"),
        (b"[" * 100_000, "too_deep"),
        (GOOD + GOOD, "not_json"),
        (having(device_id="no such\nwatch"), "bad_device_id"),
        (having(activity="\ud800"), "bad_activity"),
        (having(activity=" "), "bad_activity"),
        (having(activity=None), "bad_activity"),
        (having(start=1_795_168_800_000), "bad_time"),
        (having(start="2026-11-20T10:00:00"), "bad_time"),
        (having(start="0001-01-01T00:00:00Z"), "impossible_time"),
        (having(end="9999-12-31T00:00:00Z"), "impossible_time"),
        (having(start="2026-11-20T10:00:11Z"), "impossible_time"),
        (having(kcal_per_min=float("nan")), "bad_kcal_per_min"),
        (having(kcal_per_min=1e300), "bad_kcal_per_min"),
        (having(kcal_per_min="3"), "bad_kcal_per_min"),
        (having(kcal_per_min=True), "bad_kcal_per_min"),
        (GOOD[:-1] + b',"kcal_per_min":' + b"1" * 5000 + b"}", "bad_kcal_per_min"),
    ],
)
def test_a_message_that_is_no_span_is_counted_with_its_reason(message: bytes | None, reason: str) -> None:
    read = parse_truth([message, GOOD])
    assert read.unusable == {reason: 1}
    assert read.spans.num_rows == 1


@given(st.lists(damaged(GOOD), max_size=3))
@hypothesis_settings(max_examples=200)
def test_whatever_the_messages_are_each_is_a_span_or_counted(messages: list[bytes]) -> None:
    read = parse_truth([*messages, GOOD])
    assert read.spans.schema == SPAN_SCHEMA
    assert read.spans.num_rows + sum(read.unusable.values()) == len(messages) + 1
