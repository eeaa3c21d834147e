"""Encoding: decoding returns the same readings, and truth spans cover what is labelled."""

from __future__ import annotations

import json

import pyarrow as pa
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from activitymodule.settings import Telemetry
from activitymodule.telemetry import encode
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.telemetry.schema import FIELD_NAMES
from activitymodule.telemetry.sources.base import chunk_schema

NOW_US = 1_790_000_000_000_000

numbers = {"pitch": 6, "heart_rate": 300, "altitude_distance_from_mean": 20_000, "steps": 1000}
columns = {
    name: st.none() | st.floats(0, high, width=32, exclude_min=name == "heart_rate")  # 0 is none
    for name, high in numbers.items()
}
rows = st.fixed_dictionaries(
    {
        "device_id": st.sampled_from(["a", "b"]),
        "stamp": st.integers(NOW_US - 10**8, NOW_US).map(lambda us: us // 10 * 10),
        "location_type": st.sampled_from([None, "home", 'a "quoted"\n café']),
    }
)


def table_of(rows: list[dict]) -> pa.Table:
    arrays = []
    for field in chunk_schema():
        if field.name == "person":
            arrays.append(pa.array([row["device_id"] for row in rows], field.type))
        else:
            values = pa.array(
                [row.get(field.name) for row in rows], pa.int64() if field.name == "stamp" else None
            )
            arrays.append(values.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=chunk_schema()).sort_by(
        [("device_id", "ascending"), ("stamp", "ascending")]
    )


@examples(max_examples=60, deadline=None)
@given(st.lists(st.tuples(rows, st.fixed_dictionaries(columns)), max_size=40), st.sampled_from([1, 3, 10]))
def test_decode_gives_the_readings_back(made: list[tuple[dict, dict]], readings_per_message: int) -> None:
    table = table_of([{**row, **numbers} for row, numbers in made])
    messages = encode.messages(table, readings_per_message)
    decoded = decode_messages(pa.array(messages.value, pa.binary()), now_us=NOW_US, limits=Telemetry())
    assert len(decoded.dead) == 0
    assert messages.readings.sum() == len(table)
    assert messages.readings.max(initial=0) <= readings_per_message
    assert decoded.readings.select(FIELD_NAMES).to_pylist() == table.select(FIELD_NAMES).to_pylist()
    newest = [max(decode_one(value)) for value in messages.value]
    assert newest == messages.newest_us.tolist()


def decode_one(value: bytes) -> list[int]:
    decoded = decode_messages(pa.array([value], pa.binary()), now_us=NOW_US, limits=Telemetry())
    return decoded.readings.column("stamp").cast(pa.int64()).to_pylist()


def test_truth_spans() -> None:
    start = 1_789_999_990_000_000
    rows = [
        {
            "device_id": "a",
            "stamp": start + i * 100_000,
            "activity": None if i < 10 else "eat" if i < 150 else "x",
        }
        for i in range(160)
        if i != 155
    ]
    spans = [
        (end, device, json.loads(value)) for end, device, value in encode.truth_spans(table_of(rows), "casas")
    ]
    assert [span["activity"] for *_, span in spans] == ["eat", "eat", "x"]
    assert [(end - start) / 1e6 for end, *_ in spans] == [10, 15, 16]
    assert spans[0][2] == {
        "device_id": "a",
        "start": "2026-09-21T14:13:11.000Z",
        "end": "2026-09-21T14:13:20.000Z",
        "activity": "eat",
        "kcal_per_min": None,
        "source": "casas",
    }
