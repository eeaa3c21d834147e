"""encode: decode gives the readings back; truth spans tile what is labelled; a replay never runs ahead."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from activitymodule import settings
from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry import encode, recordings
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.telemetry.schema import FIELD_NAMES
from activitymodule.telemetry.sources.base import chunk_schema

NOW_US = 1_790_000_000_000_000

numbers = {"pitch": 6, "heart_rate": 300, "altitude_distance_from_mean": 20_000, "steps": 1000}
columns = {name: st.none() | st.floats(0, high, width=32) for name, high in numbers.items()}
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
    decoded = decode_messages(
        pa.array(messages.value, pa.binary()), now_us=NOW_US, limits=settings.Telemetry()
    )
    assert len(decoded.dead) == 0
    assert messages.readings.sum() == len(table)
    assert messages.readings.max(initial=0) <= readings_per_message
    assert decoded.readings.select(FIELD_NAMES).to_pylist() == table.select(FIELD_NAMES).to_pylist()
    newest = [max(decode_one(value)) for value in messages.value]
    assert newest == messages.newest_us.tolist()


def decode_one(value: bytes) -> list[int]:
    decoded = decode_messages(pa.array([value], pa.binary()), now_us=NOW_US, limits=settings.Telemetry())
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


@pytest.mark.parametrize("speed", [None, 0.5, 1.0, 10.0])
def test_no_stamp_is_ahead_of_the_clock(speed: float | None) -> None:
    longest, align = 700_000_000, 10_000_000
    start = recordings.start_of_replay(NOW_US, longest, speed, align)
    assert start % align == 0
    for share in np.linspace(0, 1, 11):
        clock = NOW_US + (0 if speed is None else longest * share / speed)
        assert start + longest * share <= clock + 1
    if speed != 0.5:
        ends = start + longest - NOW_US - (0 if speed is None else longest / speed)
        assert -align <= ends <= 0


def wisdm_folder(path: Path) -> Path:
    rng = np.random.default_rng(3)
    for person in (1700, 1701):
        lines = [
            f"{person},{code},{x:.4f},{y:.4f},{z:.4f};"
            for code in "AD"
            for x, y, z in rng.normal([0, 3, 9], 1, (400, 3))
        ]
        (path / f"data_{person}_accel_watch.txt").write_text("\n".join(lines))
    return path


def test_schedule_of_raw_recordings(tmp_path: Path) -> None:
    found = recordings.find(str(wisdm_folder(tmp_path)), tmp_path)
    assert (found.people, found.source) == (["1700", "1701"], "wisdm")
    start = NOW_US // 10_000_000 * 10_000_000 - 10**9
    events = list(found.schedule(start, 10_000_000, 10))
    due = [event.due_us for event in events]
    assert due == sorted(due)
    assert sum(event.readings for event in events) == 800
    assert sum(event.truth for event in events) == 8  # two runs of 20 s, two people
    first = json.loads(next(e for e in events if not e.truth).value)
    assert datetime.fromisoformat(first[0]["stamp"]).timestamp() * 1e6 == start
    assert {e.device_id for e in events[:2]} == {"wisdm-1700", "wisdm-1701"}

    kept = next(iter(found.schedule(None, 10_000_000, 10)))
    assert json.loads(kept.value)[0]["stamp"] == "2019-01-01T00:00:00.000Z"

    short = recordings.find(str(tmp_path), tmp_path, ["1701"], 5.0)
    assert sum(event.readings for event in short.schedule(start, 10_000_000, 1)) == 51
    assert datetime.fromtimestamp(short.span("1701")[0] / 1e6, UTC).year == 2019


def test_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not prepared yet"):
        recordings.find("wisdm", tmp_path)
    with pytest.raises(ConfigError, match="neither a source nor a path"):
        recordings.find("nothing", tmp_path)
    with pytest.raises(DataError, match="no recording of a known source"):
        recordings.find(str(tmp_path), tmp_path)
    with pytest.raises(ConfigError, match="no recording of person 9; there are 1700, 1701"):
        recordings.find(str(wisdm_folder(tmp_path)), tmp_path, ["9"])
