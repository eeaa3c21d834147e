"""The newest window of each watch: right, and by few rows read of few days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activitymodule.store.connection import Connection
from activitymodule.store.devices import (
    Setting,
    set_devices,
    watches_without_model,
    watches_without_profile,
)
from activitymodule.store.drift import watches_seen
from activitymodule.store.prediction_days import make_days
from activitymodule.store.predictions import PredictionRows, write_predictions
from activitymodule.store.queries import execute, fetch_all, fetch_value

pytestmark = pytest.mark.integration
MakeRows = Callable[..., PredictionRows]
WINDOWS, DAY = 90, 8640
NEWEST = "SELECT * FROM newest_windows(%s)"


@pytest.fixture
def start(connection: Connection, make_rows: MakeRows) -> datetime:
    """Where the last quarter of an hour begins, of which three watches have all windows; `old-0` has those of three
    days before."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=15)
    start_us = int(start.timestamp()) * 1_000_000
    make_days(connection, start.date() - timedelta(days=4), start.date() + timedelta(days=1))
    write_predictions(connection, make_rows(3, WINDOWS, start_us=start_us))
    write_predictions(connection, make_rows(1, WINDOWS, start_us=start_us, first=-3 * DAY, device="old-"))
    connection.commit()
    return start


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of a plan."""
    yield plan
    for one in plan.get("Plans", ()):
        yield from nodes(one)


def scans(connection: Connection, statement: str, *values: object) -> list[dict[str, Any]]:
    """The scans of tables of a statement as it runs on a store too large to be read or sorted."""
    execute(connection, "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
    (found,) = fetch_value(connection, f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)
    return [one for one in nodes(found["Plan"]) if "Relation Name" in one]


def rows_read(scans: list[dict[str, Any]]) -> float:
    """Rows of predictions that the scans returned or rejected."""
    return sum(
        (one["Actual Rows"] + one.get("Rows Removed by Filter", 0)) * one["Actual Loops"]
        for one in scans
        if one["Relation Name"].startswith("predictions")
    )


def test_each_watch_once_with_its_newest_window(connection: Connection, start: datetime) -> None:
    last = start + timedelta(seconds=10 * (WINDOWS - 1))
    expected = [(f"watch-{n}", last) for n in range(3)]
    assert sorted(fetch_all(connection, NEWEST, (start,))) == expected
    assert sorted(fetch_all(connection, NEWEST, (last,))) == expected
    assert fetch_all(connection, NEWEST, (last + timedelta(seconds=1),)) == []
    week = fetch_all(connection, NEWEST, (start - timedelta(days=7),))
    assert sorted(week) == [("old-0", last - timedelta(days=3)), *expected]


def test_a_row_a_watch_is_read_of_the_days_asked_for(connection: Connection, start: datetime) -> None:
    found = scans(connection, NEWEST, start)
    assert rows_read(found) <= 3 + 1
    assert {one["Node Type"] for one in found} == {"Index Only Scan"}
    # what is left out at the start is not in the plan
    days = {one["Relation Name"] for one in found} - {"predictions_default"}
    assert min(days) == f"predictions_{start:%Y%m%d}"


def test_the_current_activity_is_looked_up_in_the_day_of_the_newest_window(
    connection: Connection, start: datetime
) -> None:
    execute(connection, "UPDATE predictions SET activity = 'walking', reason = NULL, probabilities = '{1}'")
    statement = "SELECT device_id, activity, window_start FROM current_activity"
    assert len(fetch_all(connection, statement)) == 4
    looked_up: Counter[str] = Counter()
    for one in scans(connection, statement):
        if one["Node Type"] == "Index Scan":
            looked_up[one["Relation Name"]] += one["Actual Loops"]
    # once for the time of the window and once for its row
    earlier = start - timedelta(days=3)
    assert looked_up[f"predictions_{earlier:%Y%m%d}"] == 2 * 1
    assert looked_up[f"predictions_{start:%Y%m%d}"] == 2 * 3
    assert not looked_up[f"predictions_{earlier + timedelta(days=1):%Y%m%d}"]


def test_the_current_activity_is_found_in_an_earlier_day(connection: Connection, start: datetime) -> None:
    execute(
        connection,
        """UPDATE predictions SET activity = NULL, reason = 'too few readings'
           WHERE device_id = 'watch-0' OR device_id = 'old-0'""",
    )
    moved = start - timedelta(days=2)
    execute(
        connection,
        """UPDATE predictions SET window_start = %s, window_end = %s, activity = 'walking', reason = NULL,
           probabilities = '{1}' WHERE device_id = 'watch-0' AND window_start = %s""",
        (moved, moved + timedelta(seconds=10), start),
    )
    set_devices(connection, [Setting("watch-0", "wear-os")], "command")
    found = fetch_all(
        connection,
        "SELECT device_id, activity, window_start, device_model FROM current_activity ORDER BY device_id",
    )
    assert [row[0] for row in found] == ["watch-0", "watch-1", "watch-2"]
    assert found[0][1:] == ("walking", moved, "wear-os")


def test_recent_watches_by_what_is_known_of_them(connection: Connection, start: datetime) -> None:
    assert (watches_without_model(connection), watches_without_profile(connection)) == (3, 3)
    set_devices(
        connection, [Setting("watch-0", "wear-os"), Setting("watch-1", "of my own making")], "command"
    )
    assert (watches_without_model(connection), watches_without_profile(connection)) == (1, 2)


def test_watches_of_a_version_within_a_time(connection: Connection, start: datetime) -> None:
    until = start + timedelta(seconds=10 * WINDOWS)
    assert watches_seen(connection, "1", start, until, 0.9) == 3
    assert watches_seen(connection, "2", start, until, 0.9) == 0
    assert watches_seen(connection, "1", start, until, 1.1) == 0
    assert watches_seen(connection, "1", until, until, 0.9) == 0
    # a newer window of another version does not hide those of this one
    execute(connection, "UPDATE predictions SET model_version = '2' WHERE window_start > %s", (start,))
    execute(connection, "UPDATE predictions SET coverage = 1")
    only = fetch_value(
        connection,
        "SELECT count(*) FROM predictions WHERE activity IS NOT NULL AND window_start = %s",
        (start,),
    )
    assert watches_seen(connection, "1", start, until, 0.9) == only > 0
