"""Outcomes of checking model versions: each is tried once a store and set of libraries, and a refusal is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all, fetch_row

_RECORD = """
INSERT INTO model_checks AS m (name, version, sha256, environment, refusal, note)
VALUES (%(name)s, %(version)s, %(sha256)s, %(environment)s, %(refusal)s, %(note)s)
ON CONFLICT (name, version, sha256, environment) DO UPDATE SET
    refusal = excluded.refusal, note = excluded.note, checked_at = clock_timestamp()
"""
_FIND = """
SELECT name, version, sha256, refusal, note, checked_at FROM model_checks
WHERE name = %s AND version = %s AND sha256 = %s AND environment = %s
"""
_FIRST = """
SELECT sha256 FROM model_checks WHERE name = %s AND version = %s AND refusal IS NULL
ORDER BY first_checked_at LIMIT 1
"""
_NEWEST = """
SELECT DISTINCT ON (name, version) name, version, sha256, refusal, note, checked_at FROM model_checks
WHERE name = ANY(%s) ORDER BY name, version, checked_at DESC
"""


@dataclass(frozen=True)
class ModelCheck:
    """One outcome. refusal : why the version must not serve, None where it may"""

    name: str
    version: str
    sha256: str
    refusal: str | None
    note: str | None
    checked_at: datetime


def record_check(
    connection: Connection,
    *,
    name: str,
    version: str,
    sha256: str,
    environment: str,
    refusal: str | None,
    note: str | None = None,
) -> None:
    """Remember the outcome for these files and libraries; a newer one replaces it."""
    values = {"name": name, "version": version, "sha256": sha256, "environment": environment}
    execute(connection, _RECORD, {**values, "refusal": refusal, "note": note})


def find_check(
    connection: Connection, name: str, version: str, sha256: str, environment: str
) -> ModelCheck | None:
    """The outcome for these files and libraries; None where they were not checked."""
    row = fetch_row(connection, _FIND, (name, version, sha256, environment))
    return None if row is None else ModelCheck(*row)


def first_accepted(connection: Connection, name: str, version: str) -> str | None:
    """The SHA-256 of the first files of a version that passed the check; None where none has."""
    row = fetch_row(connection, _FIRST, (name, version))
    return None if row is None else row[0]


def newest_checks(connection: Connection, names: list[str]) -> list[ModelCheck]:
    """The last outcome of each version of these models."""
    return [ModelCheck(*row) for row in fetch_all(connection, _NEWEST, (names,))]
