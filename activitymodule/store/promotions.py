"""The record of snapshots (training sets) and of promotions: which version was promoted or rejected, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from activitymodule.store.connection import Connection
from activitymodule.store.queries import Json, execute, fetch_all


@dataclass(frozen=True)
class SnapshotRow:
    """A training set. place : within the lake; detail : free-form, for people"""

    snapshot_id: str
    base: str
    windows: int
    labels: int
    people: int
    place: str
    detail: Mapping[str, Any] = field(default_factory=dict)


_PUT_SNAPSHOT = """
INSERT INTO snapshots (snapshot_id, base, windows, labels, people, place, detail)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (snapshot_id) DO NOTHING
"""


def put_snapshot(connection: Connection, row: SnapshotRow) -> bool:
    """Record a snapshot; False where its content is already recorded."""
    detail = json.dumps(dict(row.detail), default=str)
    values = (row.snapshot_id, row.base, row.windows, row.labels, row.people, row.place, detail)
    return execute(connection, _PUT_SNAPSHOT, values) == 1


@dataclass(frozen=True)
class Promotion:
    """One entry of the record of promotions. before : the version that served; verdict : of the gate, free-form"""

    at: datetime
    name: str
    version: str
    before: str | None
    act: str
    by_whom: str
    why: str
    run_id: str | None
    verdict: Json


_RECORD = """
INSERT INTO promotions (name, version, before, act, by_whom, why, run_id, verdict)
SELECT %(name)s, %(version)s, %(before)s, %(act)s, %(by_whom)s, %(why)s, %(run_id)s, %(verdict)s
WHERE %(run_id)s::text IS NULL OR NOT EXISTS (
    SELECT FROM promotions WHERE run_id = %(run_id)s AND act = %(act)s AND version = %(version)s)
"""
_LIST = """
SELECT at, name, version, before, act, by_whom, why, run_id, verdict FROM promotions
WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY at DESC, promotion_id DESC LIMIT %(limit)s
"""


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
    verdict: Mapping[str, Any] | None = None,
) -> bool:
    """Record that a version was promoted or rejected, once a run and act; False where it is already recorded.

    act : promoted, rejected, rolled back or promoted by hand
    """
    values = {
        "name": name,
        "version": version,
        "before": before,
        "act": act,
        "by_whom": by_whom,
        "why": why,
        "run_id": run_id,
        "verdict": json.dumps(dict(verdict or {}), default=str),
    }
    return execute(connection, _RECORD, values) == 1


def promotions(connection: Connection, *, name: str | None = None, limit: int = 50) -> list[Promotion]:
    """The record of promotions, newest first."""
    return [Promotion(*row) for row in fetch_all(connection, _LIST, {"name": name, "limit": limit})]
