"""The labels of a model version, in the order of its probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from activitymodule.store.connection import Connection
from activitymodule.store.locks import SCORING, holder
from activitymodule.store.queries import execute, fetch_all, fetch_value

_RECORD = """
INSERT INTO model_versions AS m (name, version, labels, feature_version)
VALUES (%(name)s, %(version)s, %(labels)s, %(feature_version)s)
ON CONFLICT (name, version) DO UPDATE SET
    labels = excluded.labels, feature_version = excluded.feature_version, registered_at = clock_timestamp()
WHERE (m.labels, m.feature_version) IS DISTINCT FROM (excluded.labels, excluded.feature_version)
"""

_OF_STREAM = """
SELECT (SELECT m.feature_version FROM batches b JOIN model_versions m ON m.version = b.model_version AND m.name = %s
        WHERE b.topic = %s ORDER BY b.started_at DESC, b.batch_id DESC LIMIT 1)
"""


def features_of_stream(connection: Connection, *, name: str, topic: str) -> str | None:
    """The version of the features that the scorer of a topic computes, by its last batch; None where none runs."""
    if holder(connection, SCORING, topic) is None:
        return None
    found = fetch_value(connection, _OF_STREAM, (name, topic))
    return None if found is None else str(found)


def record_model_version(
    connection: Connection, *, name: str, version: str, labels: Sequence[str], feature_version: str | None
) -> None:
    """Record a classifier's labels, in the order of its probabilities, before any row refers to the version."""
    values = {"name": name, "version": version, "labels": list(labels), "feature_version": feature_version}
    execute(connection, _RECORD, values)


@dataclass(frozen=True)
class ModelLabels:
    """A classifier's version: its labels in the order of its probabilities, and the version of its features."""

    name: str
    version: str
    labels: tuple[str, ...]
    feature_version: str | None


def recorded_labels(connection: Connection) -> list[ModelLabels]:
    """The labels of every version that is recorded."""
    sql = "SELECT name, version, labels, feature_version FROM model_versions ORDER BY name, version"
    return [ModelLabels(row[0], row[1], tuple(row[2]), row[3]) for row in fetch_all(connection, sql)]
