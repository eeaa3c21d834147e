"""Retraining in the store: one run at a time, how far each is, training sets, and who was let in or turned away."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg2

from activitymodule.errors import DataError, RefusedError
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, connect, explained

_CLASS = 72_042  # first half of the lock's key; the second is the name of the classifier
_TAKE = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
_HOLDER = """
SELECT a.application_name, a.backend_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s::bigint::oid
  AND l.objid = (hashtext(%s)::bigint & 4294967295)::oid
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_PATIENCE_SECONDS = 3.0  # the server needs a moment to notice that a run which was killed is gone


def who() -> str:
    """Who runs this process, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


_held = threading.local()


@contextmanager
def retrain_lease(
    settings: Settings, run_id: str, *, patience_seconds: float = _PATIENCE_SECONDS
) -> Iterator[None]:
    """Hold the lock of retraining; within a block that holds it for the same run this does nothing.

    The server lets go of it by itself when the process dies. Raises RefusedError where another run holds it.
    """
    name = settings.registry.classifier
    key = (settings.store.host, settings.store.port, settings.store.database, name, run_id)
    held: set[tuple[Any, ...]] = _held.__dict__.setdefault("keys", set())
    if key in held:
        yield
        return
    label = f"retrain {run_id}, pid {os.getpid()} on {socket.gethostname()}"[:63]
    connection = connect(settings, application_name=label)
    try:
        with explained(settings):
            connection.autocommit = True
            deadline = time.monotonic() + patience_seconds
            with connection.cursor() as cursor:
                while True:
                    cursor.execute(_TAKE, (_CLASS, name))
                    if cursor.fetchone()[0]:
                        break
                    if time.monotonic() >= deadline:
                        raise RefusedError(_refusal(cursor, name))
                    time.sleep(0.1)
        held.add(key)
        try:
            yield
        finally:
            held.discard(key)
    finally:
        with contextlib.suppress(psycopg2.Error):
            connection.close()


def _refusal(cursor: Any, name: str) -> str:
    cursor.execute(_HOLDER, (_CLASS, name))
    row = cursor.fetchone()
    holder = f"{row[0]}, since {row[1]:%Y-%m-%d %H:%M:%S} UTC" if row else "another run"
    return f"{name} is being retrained already ({holder}); wait for it, or end it"


# ---- runs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A retraining: who began it and why, how far it is, how it ended. parameters : `options`, and `steps` (the
    result of each)"""

    run_id: str
    started_at: datetime
    finished_at: datetime | None
    started_by: str
    why: str
    parameters: dict[str, Any]
    step: str
    state: str
    progress: float
    summary: str | None
    snapshot_id: str | None
    challenger: str | None

    def result(self, step: str) -> dict[str, Any] | None:
        """The result of a step; None where it has not been done."""
        return (self.parameters.get("steps") or {}).get(step)

    @property
    def options(self) -> dict[str, Any]:
        """The options the run was started with (stored as `asked` by earlier versions)."""
        return self.parameters.get("options") or self.parameters.get("asked") or {}


_COLUMNS = (
    "run_id, started_at, finished_at, started_by, why, parameters, step, state, progress, summary, snapshot_id, "
    "challenger"
)
_BEGIN = f"""
INSERT INTO retrain_runs AS r (run_id, started_by, why, parameters)
VALUES (%s, %s, %s, %s)
ON CONFLICT (run_id) DO UPDATE SET
    state = 'running', step = 'check', finished_at = NULL, progress = 0, summary = NULL,
    parameters = r.parameters || excluded.parameters
RETURNING {_COLUMNS}
"""


def _one(cursor: Any) -> Run | None:
    row = cursor.fetchone()
    return Run(*row) if row else None


def begin_run(
    connection: Connection,
    run_id: str,
    *,
    started_by: str,
    why: str,
    options: dict[str, Any],
    whole: bool = False,
) -> Run:
    """Write down that a run begins, or begins again; one that was promoted already stays as it is.

    whole : one process does all its steps
    """
    found = find_run(connection, run_id)
    if found is not None and found.state == "promoted":
        return found
    parameters = json.dumps({"options": options, "touched": time.time(), "whole": whole})
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, (run_id, started_by, why, parameters))
        begun = _one(cursor)
    assert begun is not None
    return begun


def find_run(connection: Connection, run_id: str) -> Run | None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM retrain_runs WHERE run_id = %s", (run_id,))
        return _one(cursor)


def get_run(connection: Connection, run_id: str) -> Run:
    """A run by its id, or by the beginning of it. Raises DataError where there is none, or several."""
    found = find_run(connection, run_id)
    if found is not None:
        return found
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM retrain_runs WHERE starts_with(run_id, %s) LIMIT 2", (run_id,)
        )
        rows = cursor.fetchall()
    if len(rows) != 1:
        what = "no retraining" if not rows else "more than one retraining"
        raise DataError(f"there is {what} {run_id}; `activity retrain history` lists them")
    return Run(*rows[0])


def runs(connection: Connection, limit: int = 20) -> list[Run]:
    """Runs, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM retrain_runs ORDER BY started_at DESC, run_id DESC LIMIT %s", (limit,)
        )
        return [Run(*row) for row in cursor.fetchall()]


def note(
    connection: Connection,
    run_id: str,
    *,
    step: str | None = None,
    progress: float | None = None,
    summary: str = "",
) -> None:
    """How far a run is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE retrain_runs SET step = coalesce(%s, step), progress = coalesce(%s, progress), "
            "summary = coalesce(nullif(%s, ''), summary), "
            "parameters = parameters || jsonb_build_object('touched', %s::double precision) "
            "WHERE run_id = %s AND state = 'running'",
            (step, progress, summary, time.time(), run_id),
        )


def remember(connection: Connection, run_id: str, step: str, gave: dict[str, Any]) -> None:
    """What a step gave, for the steps after it and for those who look."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE retrain_runs SET parameters = parameters || jsonb_build_object('touched', %s::double precision, "
            "'steps', coalesce(parameters->'steps', '{}') || jsonb_build_object(%s::text, %s::jsonb)) "
            "WHERE run_id = %s",
            (time.time(), step, json.dumps(gave, default=str), run_id),
        )


def set_made(
    connection: Connection, run_id: str, *, snapshot_id: str | None = None, challenger: str | None = None
) -> None:
    """What a run has made so far."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE retrain_runs SET snapshot_id = coalesce(%s, snapshot_id), "
            "challenger = coalesce(%s, challenger) WHERE run_id = %s",
            (snapshot_id, challenger, run_id),
        )


def finish_run(connection: Connection, run_id: str, state: str, summary: str) -> None:
    """A run has ended (or waits for a person)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE retrain_runs SET state = %s, summary = %s, progress = CASE WHEN %s = 'failed' THEN progress "
            "ELSE 1 END, finished_at = CASE WHEN %s = 'waiting' THEN NULL ELSE clock_timestamp() END "
            "WHERE run_id = %s AND state <> 'promoted'",
            (state, summary, state, state, run_id),
        )


def others_running(connection: Connection, run_id: str) -> list[Run]:
    """Runs besides this one that say they run."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM retrain_runs WHERE state = 'running' AND run_id <> %s ORDER BY started_at",
            (run_id,),
        )
        return [Run(*row) for row in cursor.fetchall()]


def idle_seconds(run: Run) -> float:
    """Since a run last said how far it is."""
    return time.time() - float(run.parameters.get("touched") or run.started_at.timestamp())


# ---- labels ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GoldRow:
    """A labelled window with what the queue kept of it."""

    device_id: str
    window_us: int
    label: str
    stratum: str
    propensity: float
    features: list[float]
    labelled_at: datetime


_GOLD = """
SELECT q.device_id, (extract(epoch FROM q.window_start) * 1000000)::bigint, g.label, q.stratum, q.propensity,
       q.features, g.labelled_at
FROM gold_labels g JOIN queue_items q USING (device_id, window_start)
WHERE g.label IS NOT NULL AND q.features_version = %s
ORDER BY q.device_id, q.window_start
"""
_COUNTS = """
SELECT count(*) FILTER (WHERE g.label IS NOT NULL AND q.features_version = %(features)s AND q.stratum <> 'audit'),
       count(*) FILTER (WHERE g.label IS NOT NULL AND q.features_version = %(features)s AND q.stratum <> 'audit'
                          AND (%(since)s::timestamptz IS NULL OR g.labelled_at > %(since)s)),
       count(*) FILTER (WHERE g.label IS NOT NULL AND q.features_version = %(features)s AND q.stratum = 'audit'),
       count(DISTINCT g.device_id)
           FILTER (WHERE g.label IS NOT NULL AND q.features_version = %(features)s AND q.stratum = 'audit'),
       count(*) FILTER (WHERE g.disputed),
       count(*) FILTER (WHERE g.label IS NOT NULL AND q.device_id IS NULL),
       count(*) FILTER (WHERE g.label IS NOT NULL AND q.features_version <> %(features)s),
       max(g.labelled_at)
FROM gold_labels g LEFT JOIN queue_items q USING (device_id, window_start)
"""


@dataclass(frozen=True)
class LabelCounts:
    """How many gold labels there are: for learning, of these new since a moment, for judging (and of how many
    people), disputed, without a queue item (so without features), of other features; when the newest was made."""

    teaching: int
    new: int
    audit: int
    audit_people: int
    disputed: int
    without_features: int
    other_features: int
    newest: datetime | None


def gold_rows(connection: Connection, features_version: str) -> list[GoldRow]:
    """Every gold label whose window has features of this version, in the order of watch and time."""
    with connection.cursor() as cursor:
        cursor.execute(_GOLD, (features_version,))
        return [GoldRow(*row) for row in cursor.fetchall()]


def label_counts(connection: Connection, features_version: str, since: datetime | None) -> LabelCounts:
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, {"features": features_version, "since": since})
        return LabelCounts(*cursor.fetchone())


def learnt_until(connection: Connection, run_id: str) -> datetime | None:
    """When the newest label was made of which a run before this one has learnt; None where none has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max((parameters->'steps'->'snapshot'->>'newest_label')::timestamptz) FROM retrain_runs "
            "WHERE run_id <> %s AND state IN ('promoted', 'rejected', 'waiting')",
            (run_id,),
        )
        return cursor.fetchone()[0]


_JUDGED_BEFORE = """
WITH audit AS (
    SELECT g.labelled_at
    FROM gold_labels g JOIN queue_items q USING (device_id, window_start)
    WHERE g.label IS NOT NULL AND q.features_version = %(features)s AND q.stratum = 'audit'
), judged AS (
    SELECT r.run_id, r.snapshot_id, r.parameters->'steps'->'train'->>'seed' AS seed,
           coalesce((r.parameters->'steps'->'evaluate'->>'audit_until')::timestamptz, r.started_at) AS audit_until
    FROM retrain_runs r
    WHERE r.parameters->'steps' ? 'gate' AND r.run_id <> %(run)s
      AND coalesce((r.parameters->'steps'->'gate'->>'at')::timestamptz, r.started_at)
          > coalesce((SELECT max(at) FROM promotions WHERE name = %(name)s AND act = 'promoted'), '-infinity')
)
SELECT count(DISTINCT (snapshot_id, seed)) FROM judged
WHERE (snapshot_id, seed) IS DISTINCT FROM (%(snapshot)s::text, %(seed)s::text)
  AND 2 * (SELECT count(*) FROM audit a WHERE a.labelled_at <= judged.audit_until)
      >= greatest((SELECT count(*) FROM audit), 1)
"""


def judged_before(
    connection: Connection,
    run_id: str,
    *,
    name: str,
    features_version: str,
    snapshot_id: str | None = None,
    seed: int | None = None,
) -> int:
    """How many challengers the audit labels have judged since the gate last let one in, besides this run's.

    A verdict counts for as long as at least half of today's audit labels were there for it. The same snapshot and
    seed make the same challenger, which judged again is no new one.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _JUDGED_BEFORE,
            {
                "features": features_version,
                "run": run_id,
                "name": name,
                "snapshot": snapshot_id,
                "seed": None if seed is None else str(seed),
            },
        )
        return int(cursor.fetchone()[0])


# ---- snapshots and promotions ------------------------------------------------------------------------------


@dataclass(frozen=True)
class SnapshotRow:
    """A training set as it was learnt from; place : within the lake."""

    snapshot_id: str
    base: str
    windows: int
    labels: int
    people: int
    place: str
    detail: dict[str, Any] = field(default_factory=dict)


def put_snapshot(connection: Connection, row: SnapshotRow) -> bool:
    """Write a snapshot down; False where its content is known already."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO snapshots (snapshot_id, base, windows, labels, people, place, detail) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (snapshot_id) DO NOTHING",
            (
                row.snapshot_id,
                row.base,
                row.windows,
                row.labels,
                row.people,
                row.place,
                json.dumps(row.detail, default=str),
            ),
        )
        return cursor.rowcount == 1


def record_promotion(
    connection: Connection,
    *,
    name: str,
    version: str,
    before: str | None,
    act: str,
    by_whom: str,
    why: str,
    run_id: str | None = None,
    verdict: dict[str, Any] | None = None,
) -> bool:
    """Write down that a version was let in or turned away; once a run and act. False where it was there already."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO promotions (name, version, before, act, by_whom, why, run_id, verdict) "
            "SELECT %(name)s, %(version)s, %(before)s, %(act)s, %(by_whom)s, %(why)s, %(run_id)s, %(verdict)s "
            "WHERE %(run_id)s::text IS NULL OR NOT EXISTS (SELECT FROM promotions WHERE run_id = %(run_id)s "
            "AND act = %(act)s AND version = %(version)s)",
            {
                "name": name,
                "version": version,
                "before": before,
                "act": act,
                "by_whom": by_whom,
                "why": why,
                "run_id": run_id,
                "verdict": json.dumps(verdict or {}, default=str),
            },
        )
        return cursor.rowcount == 1


@dataclass(frozen=True)
class Promotion:
    """One entry of the record of promotions."""

    at: datetime
    name: str
    version: str
    before: str | None
    act: str
    by_whom: str
    why: str
    run_id: str | None
    verdict: dict[str, Any]


def promotions(connection: Connection, *, name: str | None = None, limit: int = 50) -> list[Promotion]:
    """The record of promotions, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT at, name, version, before, act, by_whom, why, run_id, verdict FROM promotions "
            "WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY at DESC, promotion_id DESC LIMIT %(limit)s",
            {"name": name, "limit": limit},
        )
        return [Promotion(*row) for row in cursor.fetchall()]
