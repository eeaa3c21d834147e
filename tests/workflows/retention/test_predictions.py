"""Old days of predictions move to the lake: all of them, whatever interrupts it, and they can still be queried."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from own_settings import replaced
from prediction_rows import EPOCH_US, LABELS, make_prediction_rows

from activitymodule.errors import LockedError
from activitymodule.lake import predictions as lake
from activitymodule.settings import Settings
from activitymodule.store import prediction_days as days
from activitymodule.store.connection import connect
from activitymodule.store.locks import RETENTION, SessionLock
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import write_predictions
from activitymodule.store.queries import execute, fetch_all, fetch_value
from activitymodule.workflows.history import history
from activitymodule.workflows.retention import run

pytestmark = pytest.mark.integration

DAY_US = 86_400_000_000
MIDNIGHT_US = EPOCH_US // DAY_US * DAY_US


@pytest.fixture
def settings(fresh_settings: Settings) -> Settings:
    return replaced(fresh_settings, retention={"predictions_days": 30})


@pytest.fixture
def connection(settings: Settings) -> Iterator[Any]:
    opened = connect(settings)
    record_model_version(opened, name="m", version="1", labels=LABELS, feature_version="f")
    for number in range(3):
        rows = make_prediction_rows(2, 6, start_us=MIDNIGHT_US + number * DAY_US - 30_000_000, seed=number)
        write_predictions(opened, rows)
    # of another year: in the default partition
    write_predictions(opened, make_prediction_rows(1, 3, start_us=MIDNIGHT_US - 700 * DAY_US, seed=9))
    written_then(opened)
    yield opened
    opened.close()


def written_then(connection: Any) -> None:
    """Have all rows written when their windows ended: old windows that are written now are kept."""
    execute(connection, "UPDATE predictions SET processed_at = window_end")
    connection.commit()


def everything(connection: Any) -> list[dict[str, Any]]:
    names = ", ".join(lake.SCHEMA.names)
    rows = fetch_all(connection, f"SELECT {names} FROM predictions ORDER BY device_id, window_start")
    connection.rollback()
    return [dict(zip(lake.SCHEMA.names, row, strict=True)) for row in rows]


def as_rows(table: pa.Table) -> list[dict[str, Any]]:
    return table.sort_by([("device_id", "ascending"), ("window_start", "ascending")]).to_pylist()


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name, value in other.items():
            if isinstance(value, float):
                assert one[name] == pytest.approx(value, rel=1e-6), name
            elif name == "probabilities" and value:
                assert one[name] == pytest.approx(value, rel=1e-6)
            else:
                assert one[name] == value, name


def moved(settings: Settings) -> Any:
    report = run.apply(settings)
    assert report.failed == ()
    return next(one for one in report.kinds if one.kind == "predictions")


def test_old_days_move_to_the_lake_with_every_value(settings: Settings, connection: Any) -> None:
    before = everything(connection)
    assert len(before) == 39
    due = next(one for one in run.plan(settings).kinds if one.kind == "predictions")
    assert due.count is not None
    assert everything(connection) == before, "a dry run deletes nothing"
    result = moved(settings)
    assert (result.count, result.moved) == (39, True)
    assert everything(connection) == []
    assert days.taken_out(connection) == []
    names = {one.name for one in days.partitions(connection)}
    assert not any(name.startswith("predictions_202609") for name in names)
    assert [one.day for one in lake.days(settings)] == [
        date(2024, 10, 21), date(2026, 9, 20), date(2026, 9, 21), date(2026, 9, 22), date(2026, 9, 23),
    ]  # fmt: skip
    assert_same(as_rows(lake.read(settings)), before)
    assert moved(settings).count == 0, "done twice, it does nothing"
    assert_same(as_rows(history(settings, None, None)), before)


def test_young_days_and_what_was_written_of_late_stay(settings: Settings, connection: Any) -> None:
    execute(connection, "UPDATE predictions SET processed_at = now()")
    connection.commit()
    before = everything(connection)
    assert moved(settings).count == 0
    assert everything(connection) == before, "these windows are old, and were written just now"
    assert days.late_days(connection) == [date(2024, 10, 21)]


@pytest.mark.parametrize("step", ["copy_day", "take_out", "drop", "copy_late"])
def test_an_interrupted_run_is_continued(
    settings: Settings, connection: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before, really, calls = everything(connection), getattr(days, step), []

    def interrupted(*arguments: Any) -> Any:
        calls.append(step)
        if len(calls) == (2 if step != "copy_late" else 1):
            raise KeyboardInterrupt
        return really(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(days, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.apply(settings)
    # nothing is lost meanwhile: each row is in the store or in the lake
    known = {
        (row["device_id"], row["window_start"])
        for row in as_rows(lake.read(settings)) + everything(connection)
    }
    assert known == {(row["device_id"], row["window_start"]) for row in before}
    moved(settings)
    assert everything(connection) == []
    assert_same(as_rows(lake.read(settings)), before)


def test_what_changes_while_a_day_is_copied_is_not_lost(
    settings: Settings, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = days.take_out
    late = make_prediction_rows(1, 1, start_us=MIDNIGHT_US + 3_600_000_000, device="late-", readings=77)

    def after_a_writer(other: Any, name: str) -> None:
        if name == "predictions_20260921":
            monkeypatch.setattr(days, "take_out", really)
            write_predictions(connection, late)
            execute(connection, "UPDATE predictions SET kcal_per_min = 42 WHERE device_id = 'watch-1'")
            connection.commit()
        really(other, name)

    monkeypatch.setattr(days, "take_out", after_a_writer)
    moved(settings)
    found = as_rows(lake.read(settings, date(2026, 9, 21), date(2026, 9, 21)))
    assert {row["readings_used"] for row in found if row["device_id"] == "late-0"} == {77}
    assert everything(connection) == []
    assert fetch_value(connection, "SELECT count(*) FROM predictions") == 0


def test_rows_that_come_when_their_day_is_gone_join_it(settings: Settings, connection: Any) -> None:
    before = everything(connection)
    moved(settings)
    better = make_prediction_rows(2, 2, start_us=MIDNIGHT_US + 20_000_000, readings=120, seed=5)
    worse = make_prediction_rows(2, 1, start_us=MIDNIGHT_US - 10_000_000, readings=3)
    write_predictions(connection, better)
    write_predictions(connection, worse)
    written_then(connection)
    # while the day is in both, a window is found once, and the better row of it
    assert len(history(settings, None, None)) == len(before) + 2
    moved(settings)
    assert everything(connection) == []
    found = {
        (row["device_id"], row["window_start"]): row["readings_used"] for row in as_rows(lake.read(settings))
    }
    assert len(found) == len(before) + 2
    assert sorted(found.values()) == [100] * 37 + [120] * 4


def test_the_lakes_own_limit_deletes_days(settings: Settings, connection: Any) -> None:
    moved(settings)
    since_spring = (datetime.now(UTC).date() - date(2026, 3, 1)).days
    limited = replaced(settings, retention={"lake_predictions_days": since_spring})
    report = run.apply(limited)
    assert [one.count for one in report.kinds if one.kind == "lake_predictions"] == [3]
    assert [one.day.year for one in lake.days(settings)] == [2026] * 4


def test_one_run_at_a_time(settings: Settings, connection: Any) -> None:
    held = SessionLock(settings, RETENTION, "retention", who="another", held="", patience_seconds=0)
    with held, pytest.raises(LockedError):
        run.apply(settings)
