"""Retraining runs: who started each and why, its progress, the results of its steps, and how it ended."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activitymodule.errors import DataError
from activitymodule.store.connection import Connection
from activitymodule.store.queries import Json, Row, execute, fetch_all, fetch_one, fetch_row, fetch_value


def who() -> str:
    """The user this process runs as, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@dataclass(frozen=True)
class Run:
    """A retraining.

    parameters : `options`, `steps` (the result of each, as workflows/retraining writes it) and `touched` (Unix time of
    the last sign of life)
    summary : one sentence: the current progress, or the result
    """

    run_id: str
    started_at: datetime
    finished_at: datetime | None
    started_by: str
    why: str
    parameters: Json
    step: str
    state: str
    progress: float
    summary: str | None
    snapshot_id: str | None
    challenger: str | None

    def result(self, step: str) -> Json | None:
        """The stored result of a step; None where it has not been done."""
        return (self.parameters.get("steps") or {}).get(step)

    @property
    def options(self) -> Json:
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
_FIND = f"SELECT {_COLUMNS} FROM retrain_runs WHERE run_id = %s"
_BEGINS_WITH = f"SELECT {_COLUMNS} FROM retrain_runs WHERE starts_with(run_id, %s) LIMIT 2"
_LIST = f"SELECT {_COLUMNS} FROM retrain_runs ORDER BY started_at DESC, run_id DESC LIMIT %s"
_OTHERS = f"SELECT {_COLUMNS} FROM retrain_runs WHERE state = 'running' AND run_id <> %s ORDER BY started_at"
_NOTE = """
UPDATE retrain_runs SET step = coalesce(%s, step), progress = coalesce(%s, progress),
    summary = coalesce(nullif(%s, ''), summary),
    parameters = parameters || jsonb_build_object('touched', %s::double precision)
WHERE run_id = %s AND state = 'running'
"""
_REMEMBER = """
UPDATE retrain_runs SET parameters = parameters || jsonb_build_object(
    'touched', %s::double precision,
    'steps', coalesce(parameters->'steps', '{}') || jsonb_build_object(%s::text, %s::jsonb))
WHERE run_id = %s
"""
_MADE = """
UPDATE retrain_runs SET snapshot_id = coalesce(%s, snapshot_id), challenger = coalesce(%s, challenger)
WHERE run_id = %s
"""
_FINISH = """
UPDATE retrain_runs SET state = %(state)s, summary = %(summary)s,
    progress = CASE WHEN %(state)s = 'failed' THEN progress ELSE 1 END,
    finished_at = CASE WHEN %(state)s = 'waiting' THEN NULL ELSE clock_timestamp() END
WHERE run_id = %(run_id)s AND state <> 'promoted'
"""


def _run(row: Row) -> Run:
    return Run(*row)


def begin_run(
    connection: Connection,
    run_id: str,
    *,
    started_by: str,
    why: str,
    options: Mapping[str, Any],
    whole: bool = False,
) -> Run:
    """Record that a run begins, or begins again; a promoted run stays as it is.

    whole : one process does all its steps
    """
    found = find_run(connection, run_id)
    if found is not None and found.state == "promoted":
        return found
    parameters = json.dumps({"options": dict(options), "touched": time.time(), "whole": whole})
    return _run(fetch_one(connection, _BEGIN, (run_id, started_by, why, parameters)))


def find_run(connection: Connection, run_id: str) -> Run | None:
    """A run by its id, or None."""
    row = fetch_row(connection, _FIND, (run_id,))
    return _run(row) if row else None


def get_run(connection: Connection, run_id: str) -> Run:
    """A run by its id, or by the beginning of it. Raises DataError where there is none, or several."""
    found = find_run(connection, run_id)
    if found is not None:
        return found
    rows = fetch_all(connection, _BEGINS_WITH, (run_id,))
    if len(rows) != 1:
        what = "no retraining" if not rows else "more than one retraining"
        raise DataError(f"there is {what} {run_id}; `activity retrain history` lists them")
    return _run(rows[0])


def runs(connection: Connection, limit: int = 20) -> list[Run]:
    """Runs, newest first."""
    return [_run(row) for row in fetch_all(connection, _LIST, (limit,))]


def others_running(connection: Connection, run_id: str) -> list[Run]:
    """Other runs in the state `running`, the oldest first; their processes may have died."""
    return [_run(row) for row in fetch_all(connection, _OTHERS, (run_id,))]


def idle_seconds(run: Run) -> float:
    """Time since the run last recorded its progress."""
    return time.time() - float(run.parameters.get("touched") or run.started_at.timestamp())


def note(
    connection: Connection,
    run_id: str,
    *,
    step: str | None = None,
    progress: float | None = None,
    summary: str = "",
) -> None:
    """Record the progress of a run."""
    execute(connection, _NOTE, (step, progress, summary, time.time(), run_id))


def remember(connection: Connection, run_id: str, step: str, result: Mapping[str, Any]) -> None:
    """Store the result of a step, as JSON."""
    execute(connection, _REMEMBER, (time.time(), step, json.dumps(dict(result), default=str), run_id))


def set_made(
    connection: Connection, run_id: str, *, snapshot_id: str | None = None, challenger: str | None = None
) -> None:
    """Record the snapshot or the challenger that a run has made."""
    execute(connection, _MADE, (snapshot_id, challenger, run_id))


def finish_run(connection: Connection, run_id: str, state: str, summary: str) -> None:
    """Record that a run has ended, or waits for approval."""
    execute(connection, _FINISH, {"run_id": run_id, "state": state, "summary": summary})


def learnt_until(connection: Connection, run_id: str) -> datetime | None:
    """When the newest label was made that an earlier run has learnt from; None where none has."""
    sql = """
    SELECT max((parameters->'steps'->'snapshot'->>'newest_label')::timestamptz) FROM retrain_runs
    WHERE run_id <> %s AND state IN ('promoted', 'rejected', 'waiting')
    """
    return fetch_value(connection, sql, (run_id,))


_JUDGED_BEFORE = """
WITH audit AS (
    SELECT g.labelled_at
    FROM gold_labels g JOIN queue_items q USING (device_id, window_start)
    WHERE g.label IS NOT NULL AND q.features_version = %(features)s AND q.stratum = 'audit'
), judged AS (
    SELECT r.run_id, coalesce(r.snapshot_id, 'version ' || r.challenger) AS learnt,
           r.parameters->'steps'->'train'->>'seed' AS seed, r.parameters->'steps'->'train'->>'family' AS family,
           coalesce((r.parameters->'steps'->'evaluate'->>'audit_until')::timestamptz, r.started_at) AS audit_until
    FROM retrain_runs r
    WHERE r.parameters->'steps' ? 'gate' AND r.run_id <> %(run)s
      AND coalesce((r.parameters->'steps'->'gate'->>'at')::timestamptz, r.started_at)
          > coalesce((SELECT max(at) FROM promotions WHERE name = %(name)s AND act = 'promoted'), '-infinity')
)
SELECT count(DISTINCT (learnt, seed, family)) FROM judged
WHERE (learnt, seed, family) IS DISTINCT FROM (%(learnt)s::text, %(seed)s::text, %(family)s::text)
  AND 2 * (SELECT count(*) FROM audit a WHERE a.labelled_at <= judged.audit_until)
      >= greatest((SELECT count(*) FROM audit), 1)
"""


def judged_before(
    connection: Connection,
    run_id: str,
    *,
    name: str,
    features_version: str,
    learnt: str | None = None,
    seed: int | None = None,
    family: str | None = None,
) -> int:
    """How many challengers were evaluated on the audit labels since the gate last promoted one, besides this run's.

    A verdict counts while at least half of today's audit labels existed when it was made. The same snapshot, seed and
    `learning.family` make the same challenger, which counts once. learnt : the snapshot, or `version N` without one
    """
    values = {
        "features": features_version,
        "run": run_id,
        "name": name,
        "learnt": learnt,
        "seed": None if seed is None else str(seed),
        "family": family,
    }
    return int(fetch_value(connection, _JUDGED_BEFORE, values))
