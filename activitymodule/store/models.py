"""The labels of a model version, in the order of its probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute

_RECORD = """
INSERT INTO model_versions AS m (name, version, labels, feature_version)
VALUES (%(name)s, %(version)s, %(labels)s, %(feature_version)s)
ON CONFLICT (name, version) DO UPDATE SET
    labels = excluded.labels, feature_version = excluded.feature_version, registered_at = clock_timestamp()
WHERE (m.labels, m.feature_version) IS DISTINCT FROM (excluded.labels, excluded.feature_version)
"""


def record_model_version(
    connection: Connection, *, name: str, version: str, labels: Sequence[str], feature_version: str | None
) -> None:
    """Record a classifier's labels, in the order of its probabilities, before any row refers to the version."""
    values = {"name": name, "version": version, "labels": list(labels), "feature_version": feature_version}
    execute(connection, _RECORD, values)
