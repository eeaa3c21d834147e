"""Late windows are counted for drift once, and offered to the queue until they are forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.models.bundle import BundleBytes
from activitymodule.settings import Settings
from activitymodule.store.connection import connect, session
from activitymodule.store.models import record_model_version
from activitymodule.store.queries import fetch_all, fetch_value
from activitymodule.streaming import worker
from activitymodule.streaming.backfill import BACKFILL_BATCH
from activitymodule.streaming.missing import score_missing
from activitymodule.streaming.queue.marks import Marking, Marks
from activitymodule.streaming.worker import Scorer
from activitymodule.windows.grouping import group_panes
from activitymodule.windows.panes import panes_of_readings

pytestmark = pytest.mark.integration
T0 = 1_790_000_000_000_000
WINDOW_US, DAY_US = 10_000_000, 86_400_000_000
EVERYTHING = Marking(rate=1.0, salt="s", measure="margin", power=0, least_key=None)


@pytest.fixture
def with_topics() -> bool:
    """No test here sends or reads messages."""
    return False


@pytest.fixture
def scorer(fresh_settings: Settings, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scorer]:
    """Scores as a batch of the stream."""
    monkeypatch.setattr(worker, "_process", worker._Process())
    monkeypatch.setattr(worker, "make_tasks_quick", lambda: None)
    bundle = BundleBytes.read(trained / "activity", version="1")
    with session(fresh_settings) as connection:
        labels = ("a", "b")
        record_model_version(connection, name="m", version="1", labels=labels, feature_version="f")
    yield Scorer(fresh_settings, SimpleNamespace(value=bundle), "1", 0, "q", EVERYTHING)
    worker._process.connection.drop()


@pytest.fixture
def asked(fresh_settings: Settings) -> Iterator[Callable[[str], Any]]:
    """A function: a query -> its value."""
    connection = connect(fresh_settings)
    connection.autocommit = True
    yield lambda query: fetch_value(connection, query)
    connection.close()


def windows(config: Settings, *stamps: np.ndarray) -> pa.RecordBatch:
    """Windows of one watch, of its readings at these times after T0 in tenths of a second."""
    tenths = np.concatenate(stamps)
    phase = 1.8 * 2 * np.pi * tenths / 10
    motion = {"pitch": 0.3 * np.sin(phase), "roll": 0.2 * np.cos(phase)}
    motion |= {f"user_acceleration_{axis}": 0.4 * np.sin(phase + k) for k, axis in enumerate("xyz")}
    columns: dict[str, Any] = {name: pa.array(values, pa.float32()) for name, values in motion.items()}
    columns["device_id"] = pa.array(["watch-1"] * len(tenths))
    columns["stamp"] = pa.array(T0 + 100_000 * tenths, pa.timestamp("us", tz="UTC"))
    panes = panes_of_readings(pa.table(columns), config.windows.slide_seconds)
    return group_panes(panes.set_column(4, panes.schema.field(4), panes.column("stamp")), config.windows)


def late(scorer: Scorer, batch: pa.RecordBatch) -> list[int]:
    """A round of late windows; which of them it offered, by their number after T0."""
    task = replace(scorer, batch_id=BACKFILL_BATCH, query_id="", past=True)
    (result,) = score_missing(iter([batch]), task, late=True)
    (row,) = result.to_pylist()
    assert row["error"] is None
    marks = Marks(row["complete"], row["weight"], row["marked"])
    offered = sorted((one.window_start_us - T0) // WINDOW_US for one in marks.windows())
    assert len(offered) == marks.complete
    return offered


COUNTED = "SELECT coalesce(sum(windows), 0)::int FROM feature_minutes"


def test_a_window_is_counted_when_it_becomes_complete_and_never_again(
    scorer: Scorer, asked: Callable[[str], Any]
) -> None:
    config = scorer.config
    # one complete and one half by the stream
    (row,) = next(worker.score(iter([windows(config, np.arange(150))]), scorer)).to_pylist()
    assert (row["windows"], row["complete"], asked(COUNTED)) == (2, 1, 1)

    # three later readings of the first, the other half of the second, a third, and a part of a fourth
    everything = windows(config, np.arange(350), np.arange(3))
    assert late(scorer, everything) == [1, 2]
    assert asked(COUNTED) == 3
    # killed before it forgot them: the next one offers what it finds, whoever had offered it, and counts nothing
    written = asked("SELECT min(processed_at) FROM predictions")
    assert late(scorer, everything) == [0, 1, 2]
    assert asked("SELECT min(processed_at) FROM predictions") > written, "so that all of them are smoothed"
    assert asked(COUNTED) == 3

    # what came for the first time since is counted, what had more readings is not
    assert late(scorer, windows(config, np.arange(400), np.arange(90))) == [0, 1, 2, 3]
    assert asked(COUNTED) == 4
    assert asked("SELECT count(*) FROM feature_minutes WHERE starts_with(query_id, 'late ')") == 2


def test_what_was_offered_by_the_stream_and_has_nothing_new_is_left_alone(
    scorer: Scorer, asked: Callable[[str], Any]
) -> None:
    batch = windows(scorer.config, np.arange(200))
    list(worker.score(iter([batch]), scorer))
    written = asked("SELECT max(processed_at) FROM predictions")
    assert late(scorer, batch) == []
    assert asked("SELECT max(processed_at) FROM predictions") == written
    assert asked(COUNTED) == 2


def test_a_backfill_of_old_dates_neither_counts_nor_offers(
    scorer: Scorer, asked: Callable[[str], Any]
) -> None:
    batch = windows(scorer.config, np.arange(200))
    (row,) = next(score_missing(iter([batch]), replace(scorer, batch_id=BACKFILL_BATCH))).to_pylist()
    assert (row["seen"], row["windows"], row["written"], row["complete"]) == (2, 2, 2, 0)
    assert asked(COUNTED) == 0


def test_old_windows_do_not_move_recent_ones_to_another_day(
    scorer: Scorer, asked: Callable[[str], Any], fresh_settings: Settings
) -> None:
    """A watch that was away for days sends what it recorded, beside what others sent late."""
    days = -DAY_US // 100_000 * np.arange(1, 25)
    old = [day + np.arange(100) for day in days]
    recent = [np.arange(100) + 6000 * k for k in range(3)]
    late(scorer, windows(scorer.config, *old, *recent))
    assert asked(COUNTED) == 27
    with session(fresh_settings) as connection:
        begins = fetch_all(
            connection,
            "SELECT extract(epoch FROM minute)::bigint - %s, windows FROM feature_minutes ORDER BY 1",
            (T0 // 1_000_000,),
        )
    by_minute = [(begin, count) for begin, count in begins if begin > -300]
    assert [count for _, count in by_minute] == [1, 1, 1]
    assert all(-60 < begin - 600 * k <= 0 for k, (begin, _) in enumerate(by_minute))
    assert len(begins) <= 16
