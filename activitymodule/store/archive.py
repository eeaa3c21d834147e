"""How the archive of a topic is doing, as its writer last said: for figures, alarms and people.

The archive's own record is with its files (streaming/archive_record.py); nothing is resumed from here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_row

_WRITE = """
INSERT INTO archive_state (topic, topic_id, offsets, gaps, archived_at, failing_since, error)
VALUES (%(topic)s, %(topic_id)s, %(offsets)s::jsonb, %(gaps)s::jsonb, %(archived_at)s, %(failing_since)s, %(error)s)
ON CONFLICT (topic) DO UPDATE
SET topic_id = excluded.topic_id, offsets = excluded.offsets, gaps = excluded.gaps,
    archived_at = excluded.archived_at, failing_since = excluded.failing_since, error = excluded.error
"""
# A job that has archived nothing yet keeps what the one before it said of the archive.
_FAIL = """
INSERT INTO archive_state (topic, failing_since, error) VALUES (%(topic)s, %(failing_since)s, %(error)s)
ON CONFLICT (topic) DO UPDATE SET failing_since = excluded.failing_since, error = excluded.error
"""
_READ = """
SELECT topic_id, offsets, gaps, archived_at, failing_since, error, extract(epoch FROM now() - failing_since)::float8
FROM archive_state WHERE topic = %s
"""
_FORGET = "DELETE FROM archive_state WHERE topic = %s"

Gap = tuple[int, int, int]  # partition, first offset, offset after the last


@dataclass(frozen=True)
class ArchiveState:
    """offsets : partition -> first offset that is not archived; gaps : what Kafka deleted before it was archived.

    archived_at : when all was last well; failing_since : since when it has not been, with its error.
    """

    topic: str
    topic_id: str | None = None
    offsets: dict[int, int] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    archived_at: datetime | None = None
    failing_since: datetime | None = None
    error: str | None = None
    failing_seconds: float = 0.0

    def going(
        self, offsets: dict[int, int], topic_id: str | None, gaps: tuple[Gap, ...], at: datetime
    ) -> ArchiveState:
        """The state after a batch."""
        return ArchiveState(self.topic, topic_id, offsets, gaps, at)

    def failing(self, error: str, at: datetime) -> ArchiveState:
        """The state after a failure; it fails since the first one."""
        return replace(self, failing_since=self.failing_since or at, error=error)

    def behind(self, ends: dict[int, tuple[int, int]]) -> dict[int, int]:
        """Messages of each partition that Kafka has and the archive has not."""
        return {p: max(0, last - max(first, self.offsets.get(p, 0))) for p, (first, last) in ends.items()}

    @property
    def missing(self) -> int:
        """Messages that Kafka deleted before they were archived."""
        return sum(until - first for _, first, until in self.gaps)


def write_archive_state(connection: Connection, state: ArchiveState) -> None:
    """Replace the state of the archive of a topic."""
    values = {
        "topic": state.topic,
        "topic_id": state.topic_id,
        "offsets": json.dumps({str(number): offset for number, offset in state.offsets.items()}),
        "gaps": json.dumps(state.gaps),
        "archived_at": state.archived_at,
        "failing_since": state.failing_since,
        "error": state.error,
    }
    execute(connection, _WRITE if state.archived_at else _FAIL, values)


def read_archive_state(connection: Connection, topic: str) -> ArchiveState | None:
    """The state of the archive of a topic; None where none is written."""
    row = fetch_row(connection, _READ, (topic,))
    if row is None:
        return None
    number, offsets, gaps, archived_at, failing_since, error, seconds = row
    return ArchiveState(
        topic,
        number,
        {int(key): int(value) for key, value in offsets.items()},
        tuple((int(p), int(first), int(until)) for p, first, until in gaps),
        archived_at,
        failing_since,
        error,
        max(0.0, seconds or 0.0),
    )


def forget_archive_state(connection: Connection, topic: str) -> None:
    """The topic is scored and not archived."""
    execute(connection, _FORGET, (topic,))
