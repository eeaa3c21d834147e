"""Predictions are in partitions of a day each, which are there when rows come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg2
import pytest
from prediction_rows import EPOCH_US

from activitymodule.settings import Settings
from activitymodule.store import prediction_days as days
from activitymodule.store.connection import connect
from activitymodule.store.predictions import PredictionRows, write_predictions
from activitymodule.store.queries import execute, fetch_all, fetch_value

pytestmark = pytest.mark.integration

DAY_US = 86_400_000_000
MIDNIGHT_US = EPOCH_US // DAY_US * DAY_US
Make = Callable[..., PredictionRows]


def where(connection: Any) -> dict[str, int]:
    """Partition -> rows."""
    return dict(
        fetch_all(connection, "SELECT tableoid::regclass::text, count(*) FROM predictions GROUP BY 1")
    )


def test_the_next_days_are_there_and_made_once(connection: Any) -> None:
    today = datetime.now(UTC).date()
    names = [f"predictions_{today + timedelta(days=n):%Y%m%d}" for n in range(-1, days.AHEAD_DAYS + 1)]
    assert [one.name for one in days.partitions(connection)] == [*names, "predictions_default"]
    assert days.make_days_ahead(connection, today) == 0
    assert days.make_days_ahead(connection, today + timedelta(days=1)) == 1


def test_a_writer_makes_the_days_of_its_rows(connection: Any, make_rows: Make) -> None:
    rows = make_rows(2, 4, start_us=MIDNIGHT_US - 20_000_000)  # two windows on each side of midnight
    assert write_predictions(connection, rows) == 8
    assert where(connection) == {"predictions_20260920": 4, "predictions_20260921": 4}
    assert write_predictions(connection, rows) == 0, "the same rows change nothing, on either side"
    assert (
        write_predictions(connection, make_rows(2, 4, start_us=MIDNIGHT_US - 20_000_000, readings=101)) == 8
    )
    assert write_predictions(connection, rows) == 0, "a row never gets worse"
    connection.commit()
    bounds = {one.name: (one.from_at, one.until_at) for one in days.partitions(connection)}
    assert bounds["predictions_20260921"] == days.day_bounds(date(2026, 9, 21))


def test_two_writers_of_one_new_day_wait_for_each_other(
    fresh_settings: Settings, connection: Any, make_rows: Make
) -> None:
    other = connect(fresh_settings)
    try:
        write_predictions(connection, make_rows(1, 2))
        days._known.clear()  # as in another process
        execute(other, "SET statement_timeout = '100ms'")
        with pytest.raises(psycopg2.Error):
            days.make_days(other, date(2026, 9, 21), date(2026, 9, 21))
        other.rollback()
        connection.commit()
        assert write_predictions(other, make_rows(1, 2, device="other-")) == 2
        other.commit()
    finally:
        other.close()
    assert where(connection) == {"predictions_20260921": 4}


def test_rows_of_other_years_go_to_the_default_partition_and_are_moved(
    connection: Any, make_rows: Make
) -> None:
    """Also what a writer could not make a partition for."""
    long_ago = make_rows(2, 3, start_us=MIDNIGHT_US - 500 * DAY_US)
    assert write_predictions(connection, long_ago) == 6
    assert where(connection) == {"predictions_default": 6}
    assert (
        write_predictions(connection, make_rows(2, 3, start_us=MIDNIGHT_US - 500 * DAY_US, readings=99)) == 0
    )
    connection.commit()
    (day,) = days.late_days(connection)
    before = fetch_all(connection, "SELECT p::text FROM predictions p ORDER BY 1")
    assert days.make_days(connection, day, day) == 1
    connection.commit()
    assert where(connection) == {f"predictions_{day:%Y%m%d}": 6}
    assert fetch_all(connection, "SELECT p::text FROM predictions p ORDER BY 1") == before


def test_a_day_that_is_in_use_does_not_hold_up_the_writer(
    fresh_settings: Settings, connection: Any, make_rows: Make
) -> None:
    reader = connect(fresh_settings)
    try:
        fetch_value(reader, "SELECT count(*) FROM predictions_default")  # and its transaction goes on
        execute(connection, "SET lock_timeout = '50ms'")
        days._known.clear()
        assert write_predictions(connection, make_rows(1, 3)) == 3
        connection.commit()
    finally:
        reader.close()
    assert where(connection) == {"predictions_default": 3}


def test_smoothing_looks_across_midnight(connection: Any, make_rows: Make, fresh_settings: Settings) -> None:
    from activitymodule.store.smoothing import refresh_smoothed_windows

    rows = make_rows(1, 6, start_us=MIDNIGHT_US - 30_000_000, unscored=0)
    write_predictions(connection, rows)
    scoring = fresh_settings.scoring
    assert (
        refresh_smoothed_windows(connection, ["watch-0"], np.array([MIDNIGHT_US - 30_000_000]), scoring) == 6
    )
    assert len(where(connection)) == 2


def test_only_past_days_are_taken_out_and_only_known_content_is_dropped(
    connection: Any, make_rows: Make
) -> None:
    write_predictions(connection, make_rows(2, 5))
    connection.commit()
    name, day = "predictions_20260921", date(2026, 9, 21)
    held = days.content(connection, "predictions", day)
    assert held.rows == 10
    with pytest.raises(psycopg2.errors.RaiseException):
        days.take_out(connection, f"predictions_{datetime.now(UTC):%Y%m%d}")
    connection.rollback()
    with pytest.raises(psycopg2.errors.RaiseException):
        days.drop(connection, "people", held)
    connection.rollback()
    with pytest.raises(psycopg2.errors.RaiseException):
        days.drop(connection, name, held)
    connection.rollback()
    days.take_out(connection, name)
    connection.commit()
    assert days.taken_out(connection) == [name]
    assert where(connection) == {}
    execute(
        connection,
        f"UPDATE {name} SET kcal_per_min = 1 WHERE window_start = (SELECT min(window_start) FROM {name})",
    )
    assert not days.drop(connection, name, held), "one value is another"
    assert days.drop(connection, name, days.content(connection, name, day))
    connection.commit()
    assert days.taken_out(connection) == []
