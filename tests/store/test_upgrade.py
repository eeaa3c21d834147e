"""A store of revision 0004 is upgraded without loss, and everything that reads it reads its rows.

store_0004.sql holds rows that the last version with revision 0004 wrote through its own functions: predictions and
their smoothing, batches, people, dead letters, users and tokens; queue items with an overlap, an undo, a flag, an
adjudication, an import and a lease; three retraining runs as its `activity retrain` left them and three written from
their results (their JSON has that version's keys, such as `asked` and `says`); promotions, a snapshot, feature minutes
and drift alarms. It consists of the INSERT and setval statements of `pg_dump --data-only --column-inserts
--exclude-table=alembic_version`, with the features of queue items cut to six numbers and their expiry set to 2099.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from activitymodule.learning.policy import Rules
from activitymodule.settings import Settings, load, resource
from activitymodule.store import (
    answers,
    batches,
    budget,
    dead_letters,
    drift,
    import_export,
    inspect,
    items,
    labels,
    leases,
    live,
    migrate,
    people,
    promotions,
    queue,
    queue_views,
    retraining,
    review,
    users,
)
from activitymodule.store.connection import Connection, connect, session
from activitymodule.store.queries import execute, fetch_all
from activitymodule.workflows.retraining import run as retraining_runs

pytestmark = pytest.mark.integration

ROWS = (Path(__file__).with_name("store_0004.sql")).read_text()
START = datetime.fromtimestamp(1_790_000_000, UTC)
RENAMED = {"says": "summary", "wanted": "required_labels"}
ADDED_TABLES = {
    "archive_state",
    "late_windows",
    "model_checks",
    "model_exports",
    "device_calibrations",
    "participant_personas",
    "devices",
    "spans",
    "studies",
    "participants",
    "participant_devices",
    "erased_periods",
    "erasures",
    "activity_events",
    "event_senders",
    "webhooks",
    "webhook_secrets",
    "daily_records",
}
ADDED = {
    "batches": {"topic_id", "written_at"},
    "dead_letters": {"topic_id"},
    "annotations": {"imported_at", "stratum"},
    "promotions": {"sha256"},
    "predictions": {"familiarity", "decided"},
    "ingest_tokens": {"devices", "expires_at"},
    "users": {"subject"},
    "snapshots": {"changed_by"},
    "feature_minutes": {"watches"},
}


def alembic(config: Settings, action: Any, revision: str) -> None:
    """Run `command.upgrade` or `command.downgrade` to a revision."""
    engine = create_engine("postgresql+psycopg2://", creator=lambda: connect(config), poolclass=NullPool)
    migrations = Config()
    migrations.set_main_option("script_location", str(resource("sql/migrations")).replace("%", "%%"))
    with engine.begin() as connection:
        migrations.attributes["connection"] = connection
        action(migrations, revision)


def dump(connection: Connection) -> dict[str, list[str]]:
    """Every row of every table as JSON, with the new names of columns and without columns and tables added."""
    tables = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND (relkind IN ('r', 'p') AND NOT relispartition OR relname = 'people')"
    )
    rows = {}
    for (table,) in fetch_all(connection, tables):
        found = [row[0] for row in fetch_all(connection, f"SELECT to_jsonb(t) FROM {table} t")]
        added = ADDED.get(table, set())
        named = [{RENAMED.get(k, k): value for k, value in row.items() if k not in added} for row in found]
        rows[table] = sorted(json.dumps(row, sort_keys=True) for row in named)
    return {table: found for table, found in rows.items() if table not in {"alembic_version", *ADDED_TABLES}}


@pytest.fixture
def old(fresh_settings: Settings) -> Iterator[Connection]:
    """A connection to the store of revision 0004, before its upgrade."""
    with session(fresh_settings) as connection:
        execute(connection, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    alembic(fresh_settings, command.upgrade, "0004")
    with session(fresh_settings) as connection:
        execute(connection, ROWS)
    connection = connect(fresh_settings)
    yield connection
    connection.close()


@pytest.fixture
def upgraded(old: Connection, fresh_settings: Settings) -> Connection:
    """The same connection, after the upgrade."""
    migrate.upgrade(fresh_settings)
    return old


def test_no_row_is_lost_on_the_way_up_and_down(old: Connection, fresh_settings: Settings) -> None:
    before = dump(old)
    columns = "device_id, window_start, window_end, label, annotators, adjudicated, disputed, labelled_at"
    gold_labels = f"SELECT {columns} FROM gold_labels ORDER BY device_id, window_start"
    gold = fetch_all(old, gold_labels)
    old.commit()
    assert all(before.values()), [table for table, rows in before.items() if not rows]
    later = sorted(file.stem[:4] for file in resource("sql/migrations/versions").glob("0*.py"))
    assert migrate.upgrade(fresh_settings).pending == tuple(one for one in later if one > "0004")
    assert migrate.schema(fresh_settings).up_to_date
    assert dump(old) == before
    assert fetch_all(old, gold_labels) == gold
    old.commit()
    alembic(fresh_settings, command.downgrade, "0004")
    assert dump(old) == before
    assert fetch_all(old, "SELECT wanted FROM queue_items WHERE wanted > 1") == [(2,), (2,)]
    assert fetch_all(old, gold_labels) == gold
    old.commit()
    migrate.upgrade(fresh_settings)
    assert dump(old) == before


def test_retraining_runs_are_read(upgraded: Connection, fresh_settings: Settings) -> None:
    runs = {run.run_id[-4:]: run for run in retraining.runs(upgraded)}
    assert {name: run.state for name, run in runs.items()} == {
        "aaaa": "rejected",
        "bbbb": "unneeded",
        "cccc": "unneeded",
        "dddd": "promoted",
        "eeee": "waiting",
        "ffff": "running",
    }
    assert (runs["aaaa"].summary or "").startswith("version 2 is turned away: ")
    assert runs["bbbb"].options["dry_run"]
    assert runs["bbbb"].options["seed"] == 2
    assert runs["ffff"].summary == "people held out in turn: 2 of 5"
    assert retraining.learnt_until(upgraded, "next") is not None
    known: dict[str, Any] = {"name": "activity", "features_version": "1"}
    assert retraining.judged_before(upgraded, "next", **known) == 0, "one was promoted since"
    # the typed results of the steps
    reports = {report.run_id[-4:]: report for report in retraining_runs.history(fresh_settings)}
    gate = reports["aaaa"].steps.gate
    assert gate is not None
    assert gate.verdict == "reject"
    assert gate.summary == runs["aaaa"].summary
    assert [check.name for check in gate.checks if not check.passed] == ["enough", "better"]
    check = reports["aaaa"].steps.check
    assert check is not None
    assert (check.labels, check.audit_labels, check.verdicts_on_same_labels) == (8, 8, 0)
    acts = promotions.promotions(upgraded, name="activity")
    assert [(one.act, one.version, one.run_id and one.run_id[-4:]) for one in acts] == [
        ("promoted", "2", "dddd"),
        ("rejected", "2", "aaaa"),
    ]
    assert acts[0].verdict["verdict"] == "reject"


def test_the_queue_and_its_labels_go_on(upgraded: Connection) -> None:
    listed = queue_views.list_items(upgraded, closed=True)
    assert len(listed) == 21
    states = {
        (item.window_start - START).seconds // 10: item for item in listed if item.device_id == "watch-0"
    }
    assert [states[k].state for k in range(5)] == ["answered", "answered", "answered", "waiting", "waiting"]
    assert [states[k].required_labels for k in range(5)] == [2, 2, 1, 1, 1]
    assert {case.why for case in review.cases(upgraded)} == {"disputed", "flagged"}
    votes = review.votes(upgraded, states[1].item_id)
    assert [(vote.annotator, vote.label, vote.note) for vote in votes] == [
        ("anna", "walking", None),
        ("bob", "sitting", "the strap was loose"),
    ]
    explained = queue_views.explain(upgraded, "watch-0", START)
    assert explained.queued
    assert [(one.annotator, one.label) for one in explained.answers] == [
        ("anna", "walking"),
        ("bob", "sitting"),
    ]
    counts = labels.label_counts(upgraded, "1", None)
    assert (counts.audit, counts.disputed, counts.without_features) == (9, 1, 1)
    assert len(labels.gold_rows(upgraded, "1")) == 18
    assert len(import_export.exported(upgraded)) == 24
    assert queue.labels_so_far(upgraded) == 20
    account = budget.open_account(upgraded, Rules.of(load({})))
    assert len(account.salt) == 32
    assert budget.audit_period(upgraded, 1_790_000_000_000_000) is not None
    assert queue_views.stats(upgraded).audit_lost == 1
    # annotation goes on: the leased item is answered, its answer undone
    item = items.get_item(upgraded, states[3].item_id)
    assert item.labels == ("walking", "sitting", "stairs")
    held = leases.lease_next(upgraded, "anna", 5)
    assert held is not None
    answers.answer(upgraded, held.item_id, "anna", "label", "walking", minutes=5)
    undone = answers.undo(upgraded, "anna", 5)
    assert undone is not None
    assert undone.items == (held.item_id,)
    review.adjudicate(upgraded, states[0].item_id, "anna", "stairs", minutes=5)
    assert review.undo_adjudication(upgraded, "anna", 5) == states[0].item_id


def test_everything_else_is_read(upgraded: Connection) -> None:
    summary = inspect.summarize(upgraded)
    assert (summary.predictions, summary.with_activity, summary.watches) == (12, 11, 2)
    assert (summary.people, summary.dead_letters, summary.batches, summary.dropped_late) == (1, 2, 1, 2)
    pulse = live.take_pulse(upgraded, "watch-telemetry")
    assert (pulse.batch_id, pulse.labels) == (4, ("walking", "sitting", "stairs"))
    assert len(pulse.recent) == 10
    assert all(one.smoothed_activity for one in pulse.recent if one.activity)
    assert batches.last_offsets(upgraded, "watch-telemetry") == {0: 120}
    assert people.people_for(upgraded, ["watch-0"])["watch-0"].weight_kg == 70.5
    letters = dead_letters.list_dead_letters(upgraded)
    assert [letter.payload for letter in letters] == [b"[1]", b"\x00\xff{"]
    assert [user.name for user in users.list_users(upgraded)] == ["anna", "bob"]
    assert users.password_fits("a long password", users.password_hash(upgraded, "anna"))
    assert [(token.name, token.revoked_at is None) for token in users.list_tokens(upgraded)] == [
        ("phone", False),
        ("watch", True),
    ]
    alarms = drift.alarms(upgraded)
    assert [(one.measure, one.over_at is None) for one in alarms] == [("psi", True), ("class_shift", False)]
    seen = drift.read_seen(upgraded, "1", 30, 0.5)
    assert seen is not None
    assert seen.totals.windows == 8
    assert seen.totals.histogram.tolist() == [[2, 6], [4, 2]]
