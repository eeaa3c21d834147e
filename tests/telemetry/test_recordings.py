"""Recordings as messages in the order of time: a replay is never ahead of the clock."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry import prepared, recordings
from activitymodule.telemetry.sources.base import chunk_schema

NOW_US = 1_790_000_000_000_000


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


def prepared_folder(path: Path) -> Path:
    """Two people and three days, as `activity prepare` writes them; the last day in two files out of order."""
    schema = chunk_schema().remove(chunk_schema().get_field_index("person"))
    day_us = 86_400_000_000
    first_us = 1_700_000_000_000_000 // day_us * day_us
    for person, days in (("a b", 3), ("c", 1)):
        for day in range(days):
            folder = (
                path / f"person={prepared.folder_name(person)}" / f"date={date.fromordinal(738_000 + day)}"
            )
            folder.mkdir(parents=True)
            n = 30
            columns = {
                "device_id": ["w"] * n,
                "stamp": [first_us + day * day_us + k * 100_000 for k in range(n)],
                "heart_rate": [60.0] * n,
                "activity": ["eat"] * n,
            }
            table = pa.table(
                [
                    pa.array(
                        columns.get(field.name, [None] * n), pa.int64() if field.name == "stamp" else None
                    ).cast(field.type)
                    for field in schema
                ],
                schema=schema,
            )
            if day == 2:
                pq.write_table(table.slice(20), folder / "one.parquet")
                pq.write_table(table.slice(0, 20), folder / "two.parquet")
            else:
                pq.write_table(table, folder / "one.parquet")
    return path


def test_prepared_recordings_are_replayed_day_by_day(tmp_path: Path) -> None:
    folder = prepared_folder(tmp_path / "mine")
    assert prepared.people_in(folder) == ["a b", "c"]
    assert len(prepared.dataset(folder).to_table()) == 120
    found = recordings.find("wisdm", prepared_folder(tmp_path / "wisdm").parent)
    assert (found.source, found.people) == ("wisdm", ["a b", "c"])
    first, last = found.span("a b") or (0, 0)
    assert last - first == 2 * 86_400_000_000 + 2_900_000
    assert found.longest_us(10_000_000) == last - first
    events = [event for event in found.events("a b", 0, 10) if not event.truth]
    assert sum(event.readings for event in events) == 90
    assert [event.due_us for event in events] == sorted(event.due_us for event in events)
    limited = recordings.find(str(folder), tmp_path, ["c"], 1.0)
    assert sum(event.readings for event in limited.schedule(None, 10_000_000, 10)) == 11


def test_recordings_without_a_usable_reading_have_no_span(tmp_path: Path) -> None:
    (tmp_path / "data_1700_accel_watch.txt").write_text("1700,Z,1,2,3;\n")
    found = recordings.find(str(tmp_path), tmp_path)
    assert found.people == []
    assert list(found.events("1700", 0, 10)) == []
    with pytest.raises(DataError):
        found.longest_us(10_000_000)


def test_what_is_not_prepared_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        prepared.dataset(tmp_path / "none")
    with pytest.raises(DataError):
        prepared.dataset(tmp_path)


@pytest.mark.parametrize(
    ("what", "people", "error", "named"),
    [
        ("wisdm", None, ConfigError, "activity prepare wisdm"),
        ("nothing", None, ConfigError, "nothing"),
        (".", None, DataError, "wisdm"),
        ("raw", ["9"], ConfigError, "1700, 1701"),
    ],
)
def test_recordings_that_are_not_there(
    tmp_path: Path, what: str, people: list[str] | None, error: type[Exception], named: str
) -> None:
    (tmp_path / "raw").mkdir()
    wisdm_folder(tmp_path / "raw")
    (tmp_path / "empty").mkdir()
    path = {".": str(tmp_path / "empty"), "raw": str(tmp_path / "raw")}.get(what, what)
    with pytest.raises(error) as raised:
        recordings.find(path, tmp_path, people)
    assert named in str(raised.value)
