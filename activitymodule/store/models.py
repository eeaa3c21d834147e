"""What the probabilities of a model version mean."""

from __future__ import annotations

from collections.abc import Sequence

from activitymodule.store.connection import Connection

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
    """Write down a classifier's labels, in the order of its probabilities, before any row names it."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            {"name": name, "version": version, "labels": list(labels), "feature_version": feature_version},
        )


def labels_of(connection: Connection, version: str) -> tuple[str, ...] | None:
    """Labels of a version's probabilities, in their order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT labels FROM model_versions WHERE version = %s ORDER BY registered_at DESC LIMIT 1",
            (version,),
        )
        row = cursor.fetchone()
    return tuple(row[0]) if row else None
