"""Decoding: every reason, the ledger, and that the fast and the slow path agree."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from activitymodule.settings import Telemetry
from activitymodule.telemetry import decoding
from activitymodule.telemetry.decoding import decode_messages, decode_rows, fast
from activitymodule.telemetry.decoding import messages as entry
from activitymodule.telemetry.reasons import Reason
from activitymodule.telemetry.schema import FIELDS

NOW_US = 1_790_000_000_000_000
LIMITS = Telemetry(max_items=20, max_message_bytes=20_000)
EPOCH = 1_789_900_000_000
ISO = "2026-09-20T10:26:40Z"  # the same


def reading(**fields: Any) -> dict[str, Any]:
    return {"device_id": "watch-1", "stamp": ISO, **fields}


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def run(messages: list[bytes | None], **options: Any) -> decoding.Decoded:
    return decode_messages(pa.array(messages, pa.binary()), now_us=NOW_US, limits=LIMITS, **options)


def deep(opening: bytes, closing: bytes) -> bytes:
    return text(reading())[:-1] + b',"u":' + opening * 1100 + b"1" + closing * 1100 + b"}"


@pytest.fixture(autouse=True, params=["scanner", "arrow"])
def fast_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything here holds whichever of the fast path's readers comes first."""
    monkeypatch.setattr(fast, "_SCANNED", 1 if request.param == "scanner" else sys.maxsize)
    return str(request.param)


BAD: list[tuple[Reason, bytes | None]] = [
    (Reason.NULL_MESSAGE, None),
    (Reason.EMPTY, b""),
    (Reason.EMPTY, b" \r\n\t"),
    (Reason.TOO_LARGE, b'{"x":"' + b"y" * 30_000 + b'"}'),
    (Reason.WRONG_ENCODING, b"\xef\xbb\xbf" + text(reading())),
    (Reason.WRONG_ENCODING, json.dumps(reading()).encode("utf-16-le")),
    (Reason.WRONG_ENCODING, json.dumps(reading()).encode("utf-16")),
    (Reason.WRONG_ENCODING, b'{"u":"\xff"}'),
    (Reason.WRONG_ENCODING, b"\0"),
    (Reason.WRONG_ENCODING, text(reading()) + b"\0" + text(reading())),
    (Reason.WRONG_ENCODING, text(reading(location_type="\ud800"))),
    (Reason.NOT_JSON, b"nul"),
    (Reason.NOT_JSON, text(reading())[:-1]),
    (Reason.NOT_JSON, text(reading()) + text(reading())),
    (Reason.NOT_JSON, text(reading()) + b"\n" + text(reading())),
    (Reason.NOT_JSON, b'{"device_id":"a",}'),
    (Reason.NOT_JSON, b'{"device_id":"a\nb"}'),
    (Reason.NOT_JSON, b'{"u":Inf}'),
    (Reason.NOT_JSON, b'[{"device_id":"a"}],"z":[{}]'),
    (Reason.NOT_JSON, b'[1]],"z":[[2]'),
    (Reason.NOT_JSON, b'[{}]}{"r":[{}]'),
    (Reason.TOO_DEEP, deep(b"[", b"]")),
    (Reason.TOO_DEEP, deep(b'{"a":', b"}")),
    (Reason.TOO_DEEP, b"[" + deep(b'{"a":', b"}") + b"]"),
    (Reason.NOT_AN_OBJECT, b"5"),
    (Reason.NOT_AN_OBJECT, b"null"),
    (Reason.NOT_AN_OBJECT, b'"text"'),
    (Reason.NOT_AN_OBJECT, b"true"),
    (Reason.EMPTY_ARRAY, b"[]"),
    (Reason.TOO_MANY_ITEMS, text([reading()] * 21)),
    (Reason.UNKNOWN_ITEM, b"[null]"),
    (Reason.UNKNOWN_ITEM, b"[[]]"),
    (Reason.UNKNOWN_ITEM, b"[5]"),
    (Reason.NO_DEVICE_ID, b"{}"),
    (Reason.NO_DEVICE_ID, text(reading(device_id=None))),
    (Reason.BAD_DEVICE_ID, text(reading(device_id=""))),
    (Reason.BAD_DEVICE_ID, text(reading(device_id="a b"))),
    (Reason.BAD_DEVICE_ID, text(reading(device_id="a\n"))),
    (Reason.BAD_DEVICE_ID, text(reading(device_id="w" * 129))),
    (Reason.BAD_DEVICE_ID, text(reading(device_id=7))),
    (
        Reason.BAD_DEVICE_ID,
        b'{"device_id":"a b"}',
    ),  # without a stamp too: the first thing wrong is the reason
    (Reason.NO_STAMP, b'{"device_id":"a"}'),
    (Reason.NO_STAMP, text(reading(stamp=None))),
    (Reason.BAD_STAMP, text(reading(stamp="yesterday"))),
    (Reason.BAD_STAMP, text(reading(stamp=""))),
    (Reason.BAD_STAMP, text(reading(stamp=True))),
    (Reason.BAD_STAMP, text(reading(stamp={"a": 1}))),
    (Reason.BAD_STAMP, text(reading(stamp=1789900000000.5))),
    (Reason.BAD_STAMP, text(reading(stamp=10**25))),
    (Reason.BAD_STAMP, b'{"device_id":"a","stamp":1e400}'),
    (Reason.BAD_STAMP, b'{"device_id":"a","stamp":NaN}'),
    (Reason.BAD_STAMP, text(reading(stamp="2026-06-30T12:59:60Z"))),  # leap seconds end a day of UTC
    (Reason.BAD_STAMP, text(reading(stamp="2026-06-30T23:59:60+01:00"))),
    (Reason.BAD_STAMP, text(reading(stamp="2026-06-30T23:59:61Z"))),
    (Reason.BAD_STAMP, text(reading(stamp="2026-02-30T12:00:00Z"))),
    (Reason.BAD_STAMP, text(reading(stamp="2026-09-20T25:00:00Z"))),
    (Reason.BAD_STAMP, text(reading(stamp="20.09.2026 12:00"))),
    (Reason.STAMP_WITHOUT_OFFSET, text(reading(stamp="2026-09-20T12:00:00"))),
    (Reason.STAMP_WITHOUT_OFFSET, text(reading(stamp="2026-09-20 12:00:00.123"))),
    (Reason.STAMP_FROM_THE_FUTURE, text(reading(stamp="2026-09-21T15:00:00Z"))),
    (Reason.STAMP_FROM_THE_FUTURE, text(reading(stamp=2**63 - 1))),
    (Reason.STAMP_TOO_OLD, text(reading(stamp="0001-01-01T00:00:00Z"))),
    (Reason.STAMP_TOO_OLD, text(reading(stamp=EPOCH // 1000))),  # seconds
    (Reason.STAMP_TOO_OLD, text(reading(stamp=-(2**63)))),
    (Reason.WRONG_TYPE, text(reading(heart_rate="60"))),
    (Reason.WRONG_TYPE, text(reading(heart_rate=True))),
    (Reason.WRONG_TYPE, text(reading(heart_rate=[60]))),
    (Reason.WRONG_TYPE, text(reading(location_type=5))),
    (Reason.NOT_FINITE, b'{"device_id":"a","stamp":"2026-09-20T10:26:40Z","heart_rate":NaN}'),
    (Reason.NOT_FINITE, b'{"device_id":"a","stamp":"2026-09-20T10:26:40Z","heart_rate":-Infinity}'),
    (Reason.NOT_FINITE, b'{"device_id":"a","stamp":"2026-09-20T10:26:40Z","heart_rate":1e400}'),
    (
        Reason.NOT_FINITE,
        b'{"device_id":"a","stamp":"2026-09-20T10:26:40Z","heart_rate":' + b"9" * 5000 + b"}",
    ),
    (Reason.OUT_OF_RANGE, text(reading(heart_rate=900))),
    (Reason.OUT_OF_RANGE, text(reading(speed=12345678901234567890123))),
]

GOOD = [
    text(reading()),
    text(reading(stamp=EPOCH)),
    text([reading(), reading(stamp=EPOCH + 100)]),
    text(reading(heart_rate=60, user_acceleration_x=-0.5, location_type="home")),
    text(reading(unknown={"a": [1, {"stamp": 5}]}, other="x]{[")),
    b'{"device_id":"a","stamp":"2026-09-20T10:26:40Z","speed":-0,"pitch":-0.0}',
    b'{"device_id":"a","stamp":"2026-09-20T10:26:40Z","u":NaN,"v":1e400}',
    b'{"device_id":"a","stamp":"2026-09-20T10:26:40Z","u":' + b"9" * 5000 + b"}",
    b' {"device_id":"a",\n"stamp":"2026-09-20T10:26:40Z"}\r\n',
    b'{"dev\\u0069ce_id":"a","stamp":"2026-09-20T10:26:40Z","location_type":"caf\\u00e9"}',
    '{"device_id":"a","stamp":"2026-09-20T10:26:40Z","location_type":"café"}'.encode(),
    b'{"device_id":"a","stamp":"2026-09-20T10:26:40Z","heart_rate":1,"heart_rate":2}',
]


@pytest.mark.parametrize(("reason", "message"), BAD, ids=[f"{r}-{i}" for i, (r, _) in enumerate(BAD)])
@pytest.mark.parametrize("company", [0, 40])
def test_reason(reason: Reason, message: bytes | None, company: int) -> None:
    """Each kind of bad input ends as one dead letter with its reason, alone and among good messages."""
    good = [text(reading(stamp=EPOCH + i)) for i in range(company)]
    decoded = run([*good, message, *good])
    assert decoded.dead.column("reason").to_pylist() == [str(reason)]
    assert decoded.dead.column("message").to_pylist() == [company]
    assert len(decoded.readings) == 2 * company
    assert 0 < len(decoded.dead.column("detail")[0].as_py()) <= 200


def test_every_reason_is_tested() -> None:
    assert {reason for reason, _ in BAD} == set(Reason) - {Reason.WITHDRAWN}, (
        "which the reading itself does not say"
    )


@pytest.mark.parametrize("message", GOOD)
def test_good_message(message: bytes) -> None:
    decoded = run([message])
    assert len(decoded.dead) == 0
    assert len(decoded.readings) >= 1
    decoded.readings.validate(full=True)


def test_good_items_of_an_array_count() -> None:
    decoded = run([text([reading(), 5, reading(heart_rate="x"), reading(stamp=EPOCH, heart_rate=70)])])
    assert decoded.readings.column("item").to_pylist() == [0, 3]
    assert decoded.readings.column("heart_rate").to_pylist() == [None, 70]
    assert decoded.dead.select(["item", "reason", "device_id"]).to_pylist() == [
        {"item": 1, "reason": "unknown_item", "device_id": None},
        {"item": 2, "reason": "wrong_type", "device_id": "watch-1"},
    ]


@pytest.mark.parametrize(
    ("stamp", "us"),
    [
        (ISO, EPOCH * 1000),
        ("2026-09-20 10:26:40Z", EPOCH * 1000),
        ("2026-09-20T12:26:40+02:00", EPOCH * 1000),
        ("2026-09-20T04:56:40-05:30", EPOCH * 1000),
        ("2026-09-20T12:26:40+0200", EPOCH * 1000),
        ("2026-09-20T10:26:40.1Z", EPOCH * 1000 + 100_000),
        ("2026-09-20T10:26:40.123456Z", EPOCH * 1000 + 123_456),
        ("2026-09-20T10:26:40.1234567Z", EPOCH * 1000 + 123_456),
        ("2026-09-20T10:26:40.123456789+00:00", EPOCH * 1000 + 123_456),
        ("2026-09-20t10:26:40.5z", EPOCH * 1000 + 500_000),
        ("2026-09-20T10:26:40.12345678901234567890Z", EPOCH * 1000 + 123_456),
        ("2026-09-20T10:26:40-00:00", EPOCH * 1000),
        ("2026-06-30T23:59:60Z", 1_782_864_000_000_000),  # a leap second
        ("2026-07-01T01:29:60.25+01:30", 1_782_864_000_250_000),
        (EPOCH + 7, EPOCH * 1000 + 7000),
        (float(EPOCH + 7), EPOCH * 1000 + 7000),  # an integer to JSON Schema
    ],
)
@pytest.mark.parametrize("neighbours", [[], [text(reading(stamp="no"))], [text(reading(stamp=EPOCH))] * 20])
def test_forms_of_stamps(stamp: str | int, us: int, neighbours: list[bytes]) -> None:
    decoded = run([text(reading(stamp=stamp)), *neighbours])
    assert decoded.readings.column("stamp").cast(pa.int64())[0].as_py() == us


@pytest.mark.parametrize("company", [0, 40])
@pytest.mark.parametrize("sent", [0, -0.0, -1, -70])
def test_a_heart_rate_of_nothing_is_none_and_costs_nothing_else(sent: float, company: int) -> None:
    decoded = run([text(reading(heart_rate=sent, pitch=0.5)), *[text(reading(heart_rate=60))] * company])
    first = decoded.readings.to_pylist()[0]
    assert (first["heart_rate"], first["pitch"]) == (None, 0.5)
    assert len(decoded.readings) == 1 + company


def test_line_feed_belongs_to_the_message_or_not() -> None:
    messages = [text(reading()), None, b"", b"[]"]
    ended = [None if m is None else m + b"\n" for m in messages]
    assert run(messages).dead.equals(run(ended, newline_terminated=True).dead)
    assert run(messages).readings.equals(run(ended, newline_terminated=True).readings)


def test_nothing() -> None:
    for values in (pa.array([], pa.binary()), pa.chunked_array([], pa.binary())):
        decoded = decode_messages(values, now_us=NOW_US, limits=LIMITS)
        assert len(decoded.readings) == len(decoded.dead) == 0


def test_one_bad_message_costs_few_slow_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of a dirty batch goes through the fast path again."""
    slow: list[int] = []
    real = entry.read_slowly
    monkeypatch.setattr(entry, "read_slowly", lambda b, m, *rest: (slow.append(len(m)), real(b, m, *rest))[1])
    messages = [text(reading(stamp=EPOCH + i)) for i in range(2000)]
    messages[700] = b'{"device_id":'
    messages[900] = text(reading(heart_rate="x"))
    messages[1500] = text(reading(stamp=1.5))
    assert len(run(messages).dead) == 3
    assert sum(slow) <= 100


# ---- laws

values = st.one_of(st.none(), st.integers(-3, 400), st.floats(-7, 7), st.sampled_from(["x", True, [], 1e30]))
stamps = st.one_of(
    st.integers(EPOCH - 10**6, EPOCH),
    st.sampled_from([ISO, "2026-09-20T12:26:40.1234567+02:00", "2026-09-20T12:00:00", "x", None, 3, 1.5]),
)
items = st.one_of(
    st.fixed_dictionaries(
        {"device_id": st.sampled_from(["a", "b-2", "no no", None, 5]), "stamp": stamps},
        optional=dict.fromkeys(("pitch", "heart_rate", "speed", "location_type", "unknown"), values),
    ),
    st.fixed_dictionaries(
        {"device_id": st.sampled_from(["a", "b-2"]), "stamp": st.integers(EPOCH - 10**6, EPOCH)},
        optional={"heart_rate": st.integers(0, 200), "pitch": st.floats(-3, 3)},
    ),
)
messages = st.one_of(
    items.map(text),
    items.map(text),
    st.lists(items, min_size=0, max_size=25).map(text),
    st.sampled_from(GOOD),
    st.sampled_from([message for _, message in BAD]),
)


def count_items(message: bytes | None, dead_message: bool) -> int:
    """Items of a message: those of an array, else one."""
    if message is None or dead_message:
        return 1
    value = json.loads(message, parse_int=float)
    return len(value) if isinstance(value, list) else 1


@examples(max_examples=120, deadline=None)
@given(st.lists(messages, max_size=60), st.integers(0, 30))
def test_ledger_and_one_result(batch: list[bytes | None], clean: int) -> None:
    """Items in = readings + dead items; message by message gives the same, to the last bit."""
    batch = [text(reading(stamp=EPOCH - i)) for i in range(clean)] + batch
    values = pa.array(batch, pa.binary())
    fast = decode_rows(values, fields=FIELDS, now_us=NOW_US, limits=LIMITS)
    slow = decode_rows(values, fields=FIELDS, now_us=NOW_US, limits=LIMITS, slowly=True)
    assert fast.dead.equals(slow.dead)
    for name in ("message", "item", "stamp_us"):
        assert np.array_equal(getattr(fast, name), getattr(slow, name))
    assert fast.devices.take(pa.array(fast.device_code)).equals(slow.devices.take(pa.array(slow.device_code)))
    assert {n: v.tobytes() for n, v in fast.floats.items()} == {
        n: v.tobytes() for n, v in slow.floats.items()
    }
    assert all(fast.strings[name].equals(slow.strings[name]) for name in fast.strings)

    whole = {
        m for m, i in zip(*fast.dead.select(["message", "item"]).to_pydict().values(), strict=True) if i < 0
    }
    assert sum(count_items(m, i in whole) for i, m in enumerate(batch)) == len(fast.stamp_us) + len(fast.dead)


@examples(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([m for _, m in BAD] + GOOD * 3), min_size=1, max_size=40), st.data())
def test_a_message_does_not_depend_on_its_batch(batch: list[bytes | None], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(batch) - 1))
    alone, among = run([batch[at]]), run(batch)

    def of(table: pa.Table, message: int) -> list[dict[str, Any]]:
        return [row | {"message": 0} for row in table.to_pylist() if row["message"] == message]

    assert of(alone.dead, 0) == of(among.dead, at)
    assert of(alone.readings, 0) == of(among.readings, at)
