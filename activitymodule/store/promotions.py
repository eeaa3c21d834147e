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
    """One entry of the record of promotions. before : the version that served; verdict : of the gate, free-form;
    sha256 : of the files promoted, None in entries of earlier versions of this project"""

    at: datetime
    name: str
    version: str
    before: str | None
    act: str
    by_whom: str
    why: str
    run_id: str | None
    verdict: Json
    sha256: str | None = None


@dataclass(frozen=True)
class Promoted:
    """A version that serves or served. entry : number of the entry that made it serve, 0 where there is none; sha256 :
    of its files, None where they were not recorded"""

    name: str
    version: str
    sha256: str | None
    entry: int


_RECORD = """
INSERT INTO promotions (name, version, before, act, by_whom, why, run_id, verdict, sha256)
SELECT %(name)s, %(version)s, %(before)s, %(act)s, %(by_whom)s, %(why)s, %(run_id)s, %(verdict)s, %(sha256)s
WHERE %(run_id)s::text IS NULL OR NOT EXISTS (
    SELECT FROM promotions WHERE run_id = %(run_id)s AND act = %(act)s AND version = %(version)s)
"""
_LIST = """
SELECT at, name, version, before, act, by_whom, why, run_id, verdict, sha256 FROM promotions
WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY at DESC, promotion_id DESC LIMIT %(limit)s
"""
_SERVED = """
SELECT version, before, act, sha256, promotion_id FROM promotions
WHERE name = %s AND act <> 'rejected' ORDER BY promotion_id
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
    sha256: str | None = None,
) -> bool:
    """Record that a version was promoted or rejected, once a run and act; False where it is already recorded.

    act : promoted, rejected, rolled back or promoted by hand; sha256 : of the files of a version that serves now
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
        "sha256": sha256,
    }
    return execute(connection, _RECORD, values) == 1


def promotions(connection: Connection, *, name: str | None = None, limit: int = 50) -> list[Promotion]:
    """The record of promotions, newest first."""
    return [Promotion(*row) for row in fetch_all(connection, _LIST, {"name": name, "limit": limit})]


def served(connection: Connection, name: str) -> list[Promoted]:
    """The versions of a model by the record: the last one serves, the one before it is where a rollback leads.

    A rollback takes versions from the end of the list, so that the next one leads further back.
    """
    found: list[Promoted] = []
    for version, before, act, sha256, entry in fetch_all(connection, _SERVED, (name,)):
        if not found and before is not None:
            # the first version was not recorded by earlier versions of this project
            found.append(Promoted(name, before, None, 0))
        found = _before(found, version, back=act == "rolled back")
        found.append(Promoted(name, version, sha256, entry))
    return found


def _before(found: list[Promoted], version: str, *, back: bool) -> list[Promoted]:
    """What is left of the list when a version comes to serve."""
    places = [k for k, one in enumerate(found) if one.version == version]
    if back and places:
        return found[: places[-1]]
    # in records of earlier versions of this project two rollbacks in turn lead forth again
    leaves = back and found and int(version) < int(found[-1].version)
    return found[:-1] if leaves or (found and found[-1].version == version) else found
