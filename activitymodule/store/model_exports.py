"""Exports of model versions: the files that may serve in place of the model file, and how far their answers differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all

_RECORD = """
INSERT INTO model_exports AS e
    (name, version, format, sha256, environment, data, windows, largest, mean, same_activity, failure)
VALUES (%(name)s, %(version)s, %(format)s, %(sha256)s, %(environment)s, %(data)s, %(windows)s, %(largest)s, %(mean)s,
    %(same_activity)s, %(failure)s)
ON CONFLICT (name, version, format) DO UPDATE SET
    sha256 = excluded.sha256, environment = excluded.environment, data = excluded.data, windows = excluded.windows,
    largest = excluded.largest, mean = excluded.mean, same_activity = excluded.same_activity,
    failure = excluded.failure, checked_at = clock_timestamp()
"""
_OF = """
SELECT format, sha256, environment, data, windows, largest, mean, same_activity, failure, checked_at
FROM model_exports WHERE name = %s AND version = %s ORDER BY format
"""


@dataclass(frozen=True)
class ModelExport:
    """One export. sha256 : of its file; data : the windows it was compared on; largest, mean, same_activity : of the
    comparison (models/onnx/parity); failure : why it must not serve, None where it may"""

    format: str
    sha256: str
    environment: str
    data: str
    windows: int
    largest: float
    mean: float
    same_activity: float
    failure: str | None
    checked_at: datetime | None = None


def record_export(connection: Connection, name: str, version: str, export: ModelExport) -> None:
    """Remember an export and its comparison; a newer one of the same format replaces it."""
    values = {key: value for key, value in vars(export).items() if key != "checked_at"}
    execute(connection, _RECORD, {"name": name, "version": version, **values})


def exports_of(connection: Connection, name: str, version: str) -> dict[str, ModelExport]:
    """The exports of a version by their format."""
    rows = (ModelExport(*row) for row in fetch_all(connection, _OF, (name, version)))
    return {row.format: row for row in rows}
