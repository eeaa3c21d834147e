"""Daily records built from a real store, archive and lake: by local days, the same bytes again, late data."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from archived import archive_readings
from own_settings import replaced
from verbs import Verbs

from activitymodule.days.columns import SCHEMA
from activitymodule.days.merging import merged
from activitymodule.errors import DataError, LockedError
from activitymodule.lake import daily
from activitymodule.settings import Settings, resolve
from activitymodule.store import participants
from activitymodule.store.connection import session, transact
from activitymodule.store.locks import DAILY, SessionLock
from activitymodule.store.prediction_days import make_days
from activitymodule.store.queries import execute, fetch_all
from activitymodule.streaming.session import spark_session
from activitymodule.telemetry.schema import arrow_schema
from activitymodule.workflows import days
from activitymodule.workflows.retention import run

pytestmark = pytest.mark.integration

_INSERT = """
INSERT INTO predictions (device_id, window_start, window_end, activity, confidence, probabilities, conformal_set,
                         kcal_per_min, coverage, readings_used, model_version, received_at)
SELECT %s, t, t + interval '10 s', %s, .9, '{.1,.9}', '{x}', 4, 1, 100, '1', %s
FROM generate_series(%s::timestamptz, %s::timestamptz - interval '10 s', interval '10 s') AS t
"""


@pytest.fixture
def settings(fresh_settings: Settings) -> Iterator[Settings]:
    environment = dict(os.environ)
    yield replaced(fresh_settings, retention={"predictions_days": 30})
    spark_session(fresh_settings, "days").stop()
    os.environ.clear()
    os.environ.update(environment)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def predicted(settings: Settings, device: str, activity: str, begin: datetime, minutes: float) -> None:
    end = begin + timedelta(minutes=minutes)
    with session(settings) as connection:
        make_days(connection, begin.date(), end.date())
        execute(connection, _INSERT, (device, activity, end, begin, end))


def archived(settings: Settings, device: str, begin: datetime, minutes: int, size: float) -> None:
    """A reading a second, with a step each and a heart rate; size : of the movement, g."""
    n = minutes * 60
    start_us = int(begin.timestamp()) * 1_000_000
    columns: dict[str, Any] = {
        "device_id": pa.array([device] * n),
        "stamp": pa.array(start_us + np.arange(n) * 1_000_000).cast(pa.timestamp("us", "UTC")),
        "steps": pa.array(np.ones(n, np.float32)),
        "heart_rate": pa.array(np.full(n, 66, np.float32)),
    }
    moving = np.random.default_rng(1).normal(0, size, n).astype(np.float32)
    for name in ("pitch", "roll", *(f"user_acceleration_{axis}" for axis in "xyz")):
        columns[name] = pa.array(moving if name.endswith("_z") else np.zeros(n, np.float32))
    schema = arrow_schema()
    table = pa.table([columns.get(f.name, pa.nulls(n, f.type)) for f in schema], names=schema.names)
    extra = pa.nulls(n, pa.string())
    archive_readings(settings, table.append_column("activity", extra).append_column("kcal_per_min", extra))


def content(settings: Settings) -> dict[str, bytes]:
    folder = resolve(settings.lake.folder) / daily.DAILY
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def filled(settings: Settings) -> None:
    """Anna wears w1, in Berlin, over the day on which summer time ends; nobody is known to wear w2."""
    with session(settings) as connection:
        participants.add(connection, "anna", participants.Details(zone="Europe/Berlin"))
        participants.assign(connection, participants.Wear("anna", "w1", None, None))
    predicted(settings, "w1", "walking", at("2026-10-24T22:00"), 30)  # her midnight, by summer time
    predicted(settings, "w1", "sitting", at("2026-10-25T02:00"), 70)
    predicted(settings, "w1", "walking", at("2026-10-25T22:50"), 20)  # midnight again, by winter time
    predicted(settings, "w2", "walking", at("2026-10-25T22:50"), 20)
    archived(settings, "w1", at("2026-10-24T22:00"), 30, 0.2)
    archived(settings, "w1", at("2026-10-25T02:00"), 70, 0.001)


def test_days_are_local_rebuilt_to_the_same_bytes_and_touched_by_late_data_only_where_it_belongs(
    settings: Settings,
) -> None:
    filled(settings)
    report = days.build(settings)
    assert (report.rows, report.participants, report.changed) == (3, 2, ("2026-10",))
    rows = {(row["participant"], row["date"].day): row for row in daily.read(settings).to_pylist()}
    assert set(rows) == {("anna", 25), ("anna", 26), ("w2", 25)}
    long = rows["anna", 25]
    assert (long["hours"], len(long["hours_active"]), long["zone"]) == (25, 25, "Europe/Berlin")
    assert long["minutes"] == [("walking", 40)]
    assert long["wear_minutes"] == 40  # the watch lay on a table for 70 minutes
    assert long["completeness"] == pytest.approx(110 / 1500, abs=1e-4)
    assert (long["steps"], long["kcal"], long["heart_mean"]) == (1800, 160, 66)
    assert (long["workout"], long["workout_minutes"]) == ("walking", 30)
    assert (long["hours_active"][0], long["hours_active"][24]) == (30, 10)
    assert rows["anna", 26]["minutes"] == [("walking", 10)]
    assert (rows["w2", 25]["minutes"], rows["w2", 25]["steps"], rows["w2", 25]["zone"]) == (
        [("walking", 20)],
        None,
        "UTC",
    )

    before = content(settings)
    assert days.build(settings, date(2026, 10, 1), date(2026, 10, 31)).changed == ()
    assert content(settings) == before

    with session(settings) as connection:  # as if it had been scored long ago
        execute(connection, "UPDATE predictions SET processed_at = window_end")
    predicted(settings, "w2", "sitting", at("2026-09-03T10:00"), 10)
    late = days.build(settings)
    assert (late.first, late.last, late.changed) == (date(2026, 9, 3), date(2026, 9, 3), ("2026-09",))
    assert {name: made for name, made in content(settings).items() if "month=10" in name} == before

    with session(settings) as connection:
        execute(connection, "UPDATE predictions SET processed_at = window_end")
    assert not run.apply(settings, at("2026-12-15T00:00")).failed
    with session(settings, read_only=True) as connection:
        assert fetch_all(connection, "SELECT FROM predictions LIMIT 1") == []
    before = content(settings)
    assert days.build(settings, date(2026, 9, 1)).changed == ()  # of the lake now
    assert content(settings) == before


def of_three_sources(today: date) -> list[dict[str, Any]]:
    """20 days of three people, of three sources each, and one day that is too old for the store."""
    plain = {"zone": "UTC", "hours": 24.0}
    made = [
        {**plain, "participant": f"p{n % 3}", "date": today - timedelta(n // 3), "source": source, **values}
        for n in range(60)
        for source, values in (
            (
                "devices",
                {
                    "wear_minutes": float(n * 20),
                    "kcal": 900.0,
                    "minutes": [("a,\"'b", 20.0), ("walking", 1.5)],
                },
            ),
            ("fitbit", {"wear_minutes": 600.0, "steps": 100.0 * n, "kcal": 2000.0, "active_minutes": 3.0}),
            (
                "table:x",
                {"steps": 7.0, "hours_active": [0.5] * 24, "first_wear": at("2026-10-25T22:50:01.5")},
            ),
        )
    ]
    old = {**plain, "participant": "p0", "date": today - timedelta(500), "source": "fitbit", "steps": 1.0}
    return [*made, old]


def test_the_store_has_what_the_lake_has_of_the_last_days_and_its_views_follow_the_same_rules(
    fresh_settings: Settings, verbs: Verbs, environment_of: Callable[[Settings], dict[str, str]]
) -> None:
    settings = fresh_settings
    today = datetime.now(UTC).date()
    made = of_three_sources(today)
    table = pa.Table.from_pylist(made, SCHEMA)
    days.write(settings, table)
    assert len(daily.read(settings)) == len(made)
    assert days.write(settings, table) == []
    assert_views_follow(settings, today)
    environment = environment_of(settings)
    printed = verbs.run(environment, "days", "show", "--participant", "p1", "--json")
    assert [row["source"] for row in json.loads(printed.stdout)] == ["devices"] * 10 + ["fitbit"] * 10
    assert "1,200" in verbs.run(environment, "days", "show", "--participant", "p0").stdout  # fitbit's steps
    assert (
        verbs.run(environment, "days", "show", "--from", "2001-01-01", "--to", "2001-01-02").returncode == 0
    )
    assert (
        verbs.run(environment, "days", "build", "--from", "2026-01-02", "--to", "2026-01-01").returncode == 4
    )

    assert days.remove(settings, "p1") == 60
    transact(settings, lambda connection: execute(connection, "DELETE FROM daily_records"))
    days.copy_to_store(settings, [], datetime.now(UTC))  # such as after a restored backup
    assert asked(settings, "SELECT participant, count(*) FROM daily_records GROUP BY 1 ORDER BY 1") == [
        ("p0", 60),
        ("p2", 60),
    ]

    lock = SessionLock(settings, DAILY, "days", who="x", held="{holder}", patience_seconds=0)
    with lock, pytest.raises(LockedError):
        days.write(settings, table, patience_seconds=0)
    with pytest.raises(DataError):
        days.build(settings, today, today - timedelta(1))


def assert_views_follow(settings: Settings, today: date) -> None:
    columns = ", ".join(SCHEMA.names)
    recent = daily.read(settings, today - timedelta(400))
    stored = asked(settings, f"SELECT {columns} FROM daily_records ORDER BY participant, date, source")
    assert stored == as_stored(recent)
    by_rule = asked(settings, f"SELECT {columns} FROM daily_records_merged ORDER BY participant, date")
    assert by_rule == as_stored(merged(recent))
    assert asked(settings, "SELECT sum(minutes) FROM daily_activities WHERE activity = 'walking'") == [(90,)]
    wear = "SELECT sum(worn), sum(not_worn) FROM daily_wear WHERE source = 'devices'"
    assert asked(settings, wear) == [(30, 30)]
    trends = dict(
        asked(
            settings,
            "SELECT date, steps_7d FROM daily_trends WHERE source = 'fitbit' AND participant = 'p1'",
        )
    )
    shown = days.shown(settings, "p1", today - timedelta(60), None, by_source=True).to_pylist()
    assert trends == {
        row["date"]: row["steps_7d"] if row["steps_7d"] is None else pytest.approx(row["steps_7d"], abs=1e-3)
        for row in shown
        if row["source"] == "fitbit"
    }
    assert any(trends.values())


def asked(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with session(settings, read_only=True) as connection:
        return fetch_all(connection, query)


def as_stored(table: pa.Table) -> list[tuple[Any, ...]]:
    rows = table.select(SCHEMA.names).to_pylist()
    for row in rows:
        for name in ("minutes", "bouts"):
            row[name] = None if row[name] is None else dict(row[name])
    return [tuple(row.values()) for row in rows]
