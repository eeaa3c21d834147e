"""Rows go when nothing needs them any more: never a label, never what a stream resumes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from own_settings import replaced

from activitymodule.settings import Settings
from activitymodule.store import retention as store
from activitymodule.store.connection import connect
from activitymodule.store.queries import execute, fetch_all, fetch_value
from activitymodule.workflows.retention import run

pytestmark = pytest.mark.integration

ROWS = Path(__file__).parents[2] / "store" / "store_0004.sql"


@pytest.fixture
def connection(fresh_settings: Settings) -> Iterator[Any]:
    opened = connect(fresh_settings)
    yield opened
    opened.close()


def letters(connection: Any) -> list[int]:
    found = fetch_all(connection, "SELECT kafka_offset FROM dead_letters ORDER BY 1")
    connection.rollback()
    return [row[0] for row in found]


def put_letters(connection: Any) -> None:
    """Ten letters of 400, 390, ... 310 days ago; the even ones were replayed a day later; payloads of 20 kB that cannot
    be compressed."""
    execute(
        connection,
        """
        INSERT INTO dead_letters (topic, kafka_partition, kafka_offset, item, reason, payload, noticed_at, replayed_at)
        SELECT 't', 0, n, -1, 'not_json',
               (SELECT string_agg(sha256((n * 1000 + k)::text::bytea), ''::bytea) FROM generate_series(1, 625) AS k),
               at, CASE WHEN n % 2 = 0 THEN at + interval '1 day' END
        FROM generate_series(0, 9) AS n, LATERAL (SELECT now() - (400 - 10 * n) * interval '1 day') AS noticed (at)
        """,
    )
    connection.commit()


def kinds(settings: Settings, *, dry: bool = False, **limits: int | None) -> dict[str, int | None]:
    every: dict[str, int | None] = dict.fromkeys(type(settings.retention).model_fields)
    limited = replaced(settings, retention={**every, **limits})
    report = run.plan(limited) if dry else run.apply(limited)
    assert report.failed == ()
    return {one.kind: one.count for one in report.kinds if one.limit is not None}


def test_dead_letters_go_by_age_replayed_ones_sooner(fresh_settings: Settings, connection: Any) -> None:
    put_letters(connection)
    limits = {"dead_letters_days": 365, "replayed_dead_letters_days": 330}
    announced = kinds(fresh_settings, dry=True, **limits)
    assert letters(connection) == list(range(10))
    assert kinds(fresh_settings, **limits) == announced == {"dead_letters": 2, "replayed_dead_letters": 4}
    assert letters(connection) == [5, 7, 8, 9]
    assert set(kinds(fresh_settings, **limits).values()) == {0}


def test_dead_letters_above_a_size_go_replayed_ones_first(
    fresh_settings: Settings, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_letters(connection)
    deleted = store.delete_dead_letters_over(connection, 140_000)
    # six of 20 kB fit: the five that were not replayed, and the newest other one
    assert (deleted, letters(connection)) == (4, [1, 3, 5, 7, 8, 9])
    assert store.delete_dead_letters_over(connection, 50_000) == 4
    assert letters(connection) == [7, 9]
    assert kinds(fresh_settings, dead_letters_megabytes=1) == {"dead_letters_megabytes": 0}


def test_of_batches_the_newest_of_a_topic_stay_without_a_hole(
    fresh_settings: Settings, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unfinished ones do not stay between: the stream would take what is missing around them for unread."""
    execute(
        connection,
        """
        INSERT INTO batches (query_id, batch_id, topic, offsets, started_at, finished_at)
        SELECT 'q', n, 't', jsonb_build_object('0', jsonb_build_array(n, n + 1)), at, CASE WHEN n % 7 > 0 THEN at END
        FROM generate_series(1, 1030) AS n, LATERAL (SELECT now() - (2000 - n) * interval '1 hour') AS begun (at)
        """,
    )
    connection.commit()
    monkeypatch.setattr(store, "PORTION", 7)
    assert kinds(fresh_settings, batches_days=1) == {"batches": 30}
    assert fetch_all(connection, "SELECT min(batch_id), count(*) FROM batches") == [(31, 1000)]


def test_deletion_is_in_portions(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put_letters(connection)
    monkeypatch.setattr(store, "PORTION", 3)
    assert store.delete_old_rows(connection, store.DEAD_LETTERS, datetime.now(UTC)) == 5
    assert letters(connection) == [0, 2, 4, 6, 8]


def test_labels_runs_with_a_verdict_and_what_a_stream_needs_stay(
    fresh_settings: Settings, connection: Any
) -> None:
    """The rows of a store that was in use for a while, all of them older than any limit."""
    text = ROWS.read_text().replace("wanted,", "required_labels,").replace("says,", "summary,")
    # people are a view today
    execute(connection, re.sub(r"INSERT INTO public\.people .*;\n", "", text))
    execute(
        connection,
        "UPDATE queue_items SET closed_at = now(), closed_because = 'expired' WHERE closed_at IS NULL",
    )
    execute(
        connection,
        """
        UPDATE queue_items SET closed_at = '2020-01-01';
        UPDATE drift_alarms SET over_at = '2020-01-01' WHERE over_at IS NOT NULL;
        UPDATE retrain_runs SET started_at = '2020-01-01', finished_at = '2020-01-01' WHERE finished_at IS NOT NULL;
        UPDATE batches SET started_at = '2020-01-01';
        """,
    )
    connection.commit()
    gold = fetch_all(connection, "SELECT * FROM gold_labels ORDER BY device_id, window_start")
    labelled = """
        SELECT count(*) FROM queue_items q
        WHERE EXISTS (SELECT FROM annotations a WHERE a.label IS NOT NULL
                      AND (a.device_id, a.window_start) = (q.device_id, q.window_start))
    """
    items, annotations = (
        fetch_value(connection, labelled),
        fetch_value(connection, "SELECT count(*) FROM annotations"),
    )
    connection.rollback()
    found = kinds(
        fresh_settings, queue_items_days=1, drift_alarms_days=1, runs_days=1, batches_days=1, snapshots_days=1
    )
    assert found["queue_items"]
    assert found["drift_alarms"] == 1
    assert fetch_value(connection, "SELECT count(*) FROM queue_items") == items
    assert fetch_value(connection, "SELECT count(*) FROM annotations") == annotations, "append-only"
    assert fetch_all(connection, "SELECT * FROM gold_labels ORDER BY device_id, window_start") == gold
    states = {row[0] for row in fetch_all(connection, "SELECT state FROM retrain_runs")}
    assert {"rejected", "promoted", "waiting", "running"} <= states
    assert found["runs"]
    without_verdict = "state IN ('unneeded', 'failed') AND parameters->'steps'->'gate' IS NULL"
    assert fetch_value(connection, f"SELECT count(*) FROM retrain_runs WHERE {without_verdict}") == 0
    assert found["batches"] == 0, "the newest of a topic say where it resumes"
    assert fetch_value(connection, "SELECT count(*) FROM drift_alarms WHERE over_at IS NULL") == 1
