"""The views of the store on rows with a known result, and every query of docs/sql.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from activitymodule.settings import project_root
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import write_predictions

pytestmark = pytest.mark.integration
T0 = datetime(2026, 11, 20, 10, tzinfo=UTC)


def insert(connection, device, start, activity, *, kcal=6.0, smoothed=None, length=10, received=None):
    at = T0 + timedelta(seconds=start)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO predictions (device_id, window_start, window_end, activity, confidence, smoothed_activity,
                probabilities, conformal_set, kcal_per_min, coverage, readings_used, reason, model_version,
                received_at, processed_at)
            VALUES (%s, %s, %s, %s, .5, %s, %s, %s, %s, 1, 100, %s, '1', %s, %s)
            """,
            (
                device,
                at,
                at + timedelta(seconds=length),
                activity,
                smoothed,
                [0.5, 0.5] if activity else None,
                ["walking"] if activity else None,
                kcal if activity else None,
                None if activity else "too few readings",
                at + timedelta(seconds=10),
                at + timedelta(seconds=received if received is not None else 10.25),
            ),
        )


def rows(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_current_activity_is_the_latest_known_one(connection):
    insert(connection, "a", 0, "walking")
    insert(connection, "a", 10, "sitting")
    insert(connection, "a", 20, None)
    insert(connection, "b", 0, "jogging", smoothed="walking")
    insert(connection, "c", 0, None)
    found = rows(
        connection, "SELECT device_id, activity, smoothed_activity, age FROM current_activity ORDER BY 1"
    )
    assert [row[:3] for row in found] == [("a", "sitting", None), ("b", "jogging", "walking")]
    assert found[1][3] - found[0][3] == timedelta(seconds=10)


def test_current_activity_without_predictions(connection):
    assert rows(connection, "SELECT * FROM current_activity") == []


def test_bouts_follow_the_smoothed_activity_and_end_at_gaps(connection):
    for i, activity in enumerate(["walking", "sitting", "walking", "sitting", "sitting"]):
        insert(connection, "a", 10 * i, activity, smoothed="walking" if i < 3 else "sitting")
    insert(connection, "a", 100, "sitting", smoothed="sitting")  # after 50 s: the same bout
    insert(connection, "a", 300, "sitting", smoothed="sitting")  # after more than a minute: another
    insert(connection, "b", 0, "jogging")  # not smoothed yet
    found = rows(
        connection,
        "SELECT device_id, activity, extract(epoch FROM bout_start - timestamptz '2026-11-20T10:00Z')::int, minutes, "
        "windows, kcal FROM bouts ORDER BY 1, 3",
    )
    assert [(*row[:3], row[4]) for row in found] == [
        ("a", "walking", 0, 3),
        ("a", "sitting", 30, 3),
        ("a", "sitting", 300, 1),
        ("b", "jogging", 0, 1),
    ]
    assert [row[3] for row in found] == pytest.approx([0.5, 80 / 60, 1 / 6, 1 / 6])
    assert [row[5] for row in found] == pytest.approx([3.0, 3.0, 1.0, 1.0])
    late = rows(connection, "SELECT count(*) FROM bouts_since(timestamptz '2026-11-20T10:01:00Z')")
    assert late == [(2,)]


def test_energy_of_overlapping_windows_counts_once(connection):
    for start in range(0, 60, 5):
        insert(connection, "a", start, "walking", smoothed="walking")
    (found,) = rows(connection, "SELECT minutes, kcal FROM bouts")
    assert found == pytest.approx((65 / 60, 65 / 60 * 6))


def test_throughput_by_minute(connection):
    for start in (0, 10, 20, 30):
        insert(connection, "a", start, "walking")
    insert(connection, "b", 30, None, received=11)
    insert(connection, "b", 120, "walking")
    found = rows(
        connection,
        "SELECT extract(minute FROM minute)::int, windows, without_activity, readings, watches, latency_p50_seconds "
        "FROM throughput_by_minute ORDER BY 1",
    )
    assert [tuple(map(int, row[:5])) for row in found] == [(0, 5, 1, 500, 2), (2, 1, 0, 100, 1)]
    assert found[0][5] == pytest.approx(0.25)
    # of five windows in the first minute one took a second
    assert rows(connection, "SELECT latency_p95_seconds FROM throughput_by_minute ORDER BY minute LIMIT 1")[
        0
    ][0] == pytest.approx(0.25 + 0.8 * 0.75)


def test_predictions_readable_names_the_probabilities(connection):
    record_model_version(
        connection, name="m", version="1", labels=["walking", "sitting"], feature_version="f"
    )
    insert(connection, "a", 0, "walking")
    ((found,),) = rows(connection, "SELECT probabilities FROM predictions_readable")
    assert found == {"walking": 0.5, "sitting": 0.5}


QUERIES = re.findall(r"```sql\n(.*?)```", (project_root() / "docs" / "sql.md").read_text(), re.DOTALL)


def test_every_query_of_the_docs_runs(connection, make_rows):
    write_predictions(connection, make_rows(3, 6))
    assert len(QUERIES) >= 10
    for query in QUERIES:
        rows(connection, query)
