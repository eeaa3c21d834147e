"""The scanner: what it takes it reads as the slow path does, to the last bit, and it takes what watches send."""

from __future__ import annotations

import json
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from activitymodule.settings import Telemetry
from activitymodule.telemetry.decoding import decode_rows, fast, scanner
from activitymodule.telemetry.schema import FIELDS

NOW_US = 1_790_000_000_000_000
LIMITS = Telemetry(max_items=20)
READING = {
    "device_id": "watch-1",
    "stamp": "2026-09-20T10:26:40.123Z",
    "pitch": -0.123,
    "speed": 1e-07,
    "location_type": None,
    "battery_state": "full",
    "own": True,
    "heart_rate": 61,
}
MESSAGES = [
    json.dumps(READING).encode(),
    json.dumps(READING | {"stamp": 1_789_900_000_000}, separators=(",", ":")).encode(),
    json.dumps([READING, READING | {"course": 0.1 + 0.2}, READING]).encode(),
]

digits = st.text("0123456789", max_size=24)
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-7, 7).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.builds(
        lambda sign, whole, point, exponent: f"{sign}{whole}{point}{exponent}",
        st.sampled_from(["", "-", "+"]),
        st.one_of(digits, st.integers(0, 2**64).map(str)),
        st.one_of(st.just(""), digits.map(".{}".format)),
        st.one_of(
            st.just(""), st.builds("{}{}".format, st.sampled_from(["e", "E-", "e+", "e"]), st.integers(0, 40))
        ),
    ),
)


@pytest.fixture(autouse=True)
def small_batches_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "_SCANNED", 1)


def halfway(value: float, places: int) -> str:
    """Decimal digits close to the middle between a float and the next."""
    a = struct.unpack("<q", struct.pack("<d", value))[0]
    following = struct.unpack("<d", struct.pack("<q", a + 1))[0]
    return f"{value / 2 + following / 2:.{places}f}"


@examples(max_examples=300, deadline=None)
@given(numbers)
@example("9007199254740993")
@example("0.50000000000000005")
@example("123456789012345678e-22")
@example("1e22")
@example("1e23")
@example("-0")
@example(halfway(0.7, 18))
def test_a_number_is_read_to_the_last_bit_or_not_at_all(text: str) -> None:
    data = np.frombuffer(text.encode() + b",", np.uint8)
    end, value, _ = scanner.read_number(data, 0, len(data))
    try:
        expected = float(json.loads(text))
    except (ValueError, OverflowError):
        assert end != len(text), "no JSON"
        return
    if end != scanner.FAILED:
        assert end == len(text)
        assert struct.pack("<d", value) == struct.pack("<d", expected) or value == expected == 0


@examples(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(MESSAGES),
            st.lists(
                st.tuples(
                    st.floats(0, 1), st.integers(0, 2), st.sampled_from(b'{}[]",:\\0-.eE nt\x00\n\x80\xc3')
                ),
                max_size=3,
            ),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_damaged_messages_are_decided_as_one_by_one(
    batch: list[tuple[bytes, list[tuple[float, int, int]]]],
) -> None:
    """Bytes replaced, put in and taken out anywhere: the same readings and dead letters as the slow path's."""
    damaged = []
    for message, changes in batch:
        bytes_ = bytearray(message)
        for where, taken_out, put_in in changes:
            at = int(where * (len(bytes_) - 1))
            bytes_[at : at + taken_out] = bytes([put_in])
        damaged.append(bytes(bytes_))
    values = pa.array(damaged, pa.binary())
    ours, slow = (
        decode_rows(values, fields=FIELDS, now_us=NOW_US, limits=LIMITS, slowly=slowly)
        for slowly in (False, True)
    )
    assert ours.dead.equals(slow.dead)
    assert np.array_equal(ours.message, slow.message)
    assert np.array_equal(ours.stamp_us, slow.stamp_us)
    assert ours.devices.take(pa.array(ours.device_code)).equals(slow.devices.take(pa.array(slow.device_code)))
    assert {n: v.tobytes() for n, v in ours.floats.items()} == {
        n: v.tobytes() for n, v in slow.floats.items()
    }
    assert all(ours.strings[name].equals(slow.strings[name]) for name in ours.strings)


def test_usual_messages_are_taken_and_a_bad_one_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to the other readers, but for a message in the middle that breaks off in its second reading."""
    left: list[int] = []
    monkeypatch.setattr(
        fast.FastReader, "read", lambda reader, messages, in_arrays: left.extend(messages.tolist())
    )
    broken = b'[{"device_id":"other","stamp":"2026-09-20T10:26:40Z","pitch":1,"roll":1},{"pitch":2,'
    values = pa.array([*MESSAGES, broken + b"]", *MESSAGES], pa.binary())
    rows = decode_rows(values, fields=FIELDS, now_us=NOW_US, limits=LIMITS)
    assert left == [3]
    assert rows.message.tolist() == [0, 1, 2, 2, 2, 4, 5, 6, 6, 6]
    assert np.isnan(rows.floats["roll"]).all()
    assert rows.devices.to_pylist() == ["watch-1"]


def test_without_the_scanner_arrow_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    values = pa.array(MESSAGES, pa.binary())
    scanned = decode_rows(values, fields=FIELDS, now_us=NOW_US, limits=LIMITS)
    monkeypatch.setattr(fast, "_scanner", lambda: None)
    plain = decode_rows(values, fields=FIELDS, now_us=NOW_US, limits=LIMITS)
    assert {n: v.tobytes() for n, v in scanned.floats.items()} == {
        n: v.tobytes() for n, v in plain.floats.items()
    }
