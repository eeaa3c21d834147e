"""The store's own record of each micro-batch: its offsets, the versions that scored it, whether it finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all, fetch_one, fetch_row

_KEPT = 100_000  # records of batches kept

_OF_RECORD = "query_id, batch_id, topic, offsets, model_version, energy_version, started_at, finished_at"
# The stream does not wait for the disk: whatever is committed later, the rows of the batch among it, is safe only once
# this is, too.
_BEGIN = f"""
SET LOCAL synchronous_commit TO off;
WITH begun AS (
    INSERT INTO batches (query_id, batch_id, topic, topic_id, offsets, model_version, energy_version)
    VALUES (%(query_id)s, %(batch_id)s, %(topic)s, %(topic_id)s, %(offsets)s::jsonb, %(model_version)s,
            %(energy_version)s)
    ON CONFLICT (query_id, batch_id) DO NOTHING
    RETURNING {_OF_RECORD}
)
SELECT {_OF_RECORD}, false FROM begun
UNION ALL
SELECT {_OF_RECORD}, true FROM batches WHERE query_id = %(query_id)s AND batch_id = %(batch_id)s
"""
# The rows are committed already. Losing this in a crash of PostgreSQL only makes a restart read them again, so the
# stream does not wait for the disk.
_WRITTEN = """
SET LOCAL synchronous_commit TO off;
UPDATE batches SET written_at = clock_timestamp() WHERE query_id = %s AND batch_id = %s
"""
_FINISH = """
UPDATE batches
SET finished_at = coalesce(finished_at, clock_timestamp()), windows = %(windows)s,
    messages = coalesce(%(messages)s, (
        SELECT sum((range ->> 1)::bigint - (range ->> 0)::bigint)
        FROM jsonb_each(offsets) AS by_partition (number, range)))
WHERE query_id = %(query_id)s AND batch_id = %(batch_id)s
"""
# All of the topic from before, whatever its query: what is left must not seem to have a hole.
_FORGET = """
DELETE FROM batches USING batches AS kept
WHERE kept.query_id = %s AND kept.batch_id = %s
  AND batches.topic = kept.topic AND batches.started_at < kept.started_at
"""
_LATE = "UPDATE batches SET dropped_late = %s WHERE query_id = %s AND batch_id = %s"
# Only the newest query: its offsets are right also where the topic was recreated and offsets start again at 0.
_LAST = """
SELECT by_partition.number::integer, (by_partition.range ->> 1)::bigint
FROM (
    SELECT offsets, topic_id FROM batches
    WHERE topic = %(topic)s AND finished_at IS NOT NULL
    ORDER BY started_at DESC, batch_id DESC LIMIT 1
) AS last, jsonb_each(last.offsets) AS by_partition (number, range)
WHERE last.topic_id IS NULL OR last.topic_id = coalesce(%(topic_id)s, last.topic_id)
"""
_LAST_VERSIONS = """
SELECT model_version, energy_version FROM batches WHERE topic = %s ORDER BY started_at DESC LIMIT 1
"""
_NEWEST = """
SELECT topic_id, query_id, started_at FROM batches WHERE topic = %s ORDER BY started_at DESC, batch_id DESC LIMIT 1
"""
# A batch begins once all rows of the one before it are committed.
_RANGES = """
SELECT number::integer, coalesce(lower(part), until, first), coalesce(upper(part), until, first)
FROM (
    SELECT number, min((range ->> 0)::bigint) AS first,
           max((range ->> 1)::bigint) FILTER (WHERE written) AS until,
           range_agg(int8range(least((range ->> 0)::bigint, (range ->> 1)::bigint), (range ->> 1)::bigint))
               FILTER (WHERE written) AS parts
    FROM (
        SELECT offsets, written_at IS NOT NULL OR finished_at IS NOT NULL
               OR batch_id < max(batch_id) OVER (PARTITION BY query_id) AS written
        FROM batches
        WHERE topic = %(topic)s AND topic_id IS NOT DISTINCT FROM %(topic_id)s
          AND (topic_id IS NOT NULL OR query_id = %(query_id)s)
    ) AS known, jsonb_each(offsets) AS by_partition (number, range)
    GROUP BY number
) AS by_partition LEFT JOIN LATERAL unnest(parts) AS part ON true
ORDER BY 1, 2
"""
_ADOPT = "UPDATE batches SET topic_id = %s WHERE topic = %s AND topic_id IS NULL AND query_id = %s"
_FORGET_TOPIC = """
UPDATE batches SET topic = topic || ' (until ' || to_char(now(), 'YYYY-MM-DD HH24:MI:SS') || ')' WHERE topic = %s
"""
# Right before the newest finished batch, so that this one stays the newest and both are forgotten together.
_LOST = """
INSERT INTO batches (query_id, batch_id, topic, topic_id, offsets, started_at, finished_at, messages, windows)
SELECT 'lost-' || gen_random_uuid(), -1, %(topic)s, %(topic_id)s, %(offsets)s::jsonb, started_at, started_at, 0, 0
FROM batches WHERE topic = %(topic)s ORDER BY finished_at IS NULL, started_at DESC LIMIT 1
"""


Ranges = dict[int, tuple[tuple[int, int], ...]]
"""Partition -> ranges of offsets (from, until), in order, apart from each other."""


@dataclass(frozen=True)
class BatchRecord:
    """A batch as recorded; `replayed`: it began before, and its versions are those of its first run."""

    query_id: str
    batch_id: int
    topic: str
    offsets: dict[int, tuple[int, int]]  # partition -> (from, until)
    model_version: str | None
    energy_version: str | None
    started_at: datetime
    finished_at: datetime | None
    replayed: bool


def begin_batch(
    connection: Connection,
    *,
    query_id: str,
    batch_id: int,
    topic: str,
    topic_id: str | None = None,
    offsets: Mapping[int, tuple[int, int]],
    model_version: str | None,
    energy_version: str | None,
) -> BatchRecord:
    """Record that a batch begins; a batch that runs again gets the record of its first run."""
    values = {
        "query_id": query_id,
        "batch_id": batch_id,
        "topic": topic,
        "topic_id": topic_id,
        "offsets": _json(offsets),
        "model_version": model_version,
        "energy_version": energy_version,
    }
    row = fetch_one(connection, _BEGIN, values)
    stored = {int(number): (int(first), int(until)) for number, (first, until) in row[3].items()}
    return BatchRecord(row[0], row[1], row[2], stored, row[4], row[5], row[6], row[7], row[8])


def _json(offsets: Mapping[int, tuple[int, int]]) -> str:
    return json.dumps({str(number): [int(first), int(until)] for number, (first, until) in offsets.items()})


def mark_written(connection: Connection, *, query_id: str, batch_id: int) -> None:
    """Record that all rows of a batch are committed, by connections of others; not yet that they are smoothed."""
    execute(connection, _WRITTEN, (query_id, batch_id))


def finish_batch(
    connection: Connection, *, query_id: str, batch_id: int, windows: int, messages: int | None = None
) -> None:
    """Record that all rows of a batch are written and smoothed; messages: by default counted from its offsets."""
    values = {"query_id": query_id, "batch_id": batch_id, "windows": windows, "messages": messages}
    execute(connection, _FINISH, values)
    if batch_id and batch_id % 1000 == 0:
        execute(connection, _FORGET, (query_id, batch_id - _KEPT))


def record_late(connection: Connection, query_id: str, dropped_by_batch: Mapping[int, int]) -> None:
    """Record how many panes each batch dropped because they were older than the watermark."""
    for batch_id, dropped in dropped_by_batch.items():
        execute(connection, _LATE, (dropped, query_id, batch_id))


def last_offsets(connection: Connection, topic: str, topic_id: str | None = None) -> dict[int, int] | None:
    """Partition -> first offset that is not scored yet, from the last finished batch of the newest query.

    None where the store has no finished batch of the topic; with the topic's id in Kafka, also where that batch read
    a topic of this name that was deleted since.
    """
    values = {"topic": topic, "topic_id": topic_id}
    return {row[0]: row[1] for row in fetch_all(connection, _LAST, values)} or None


@dataclass(frozen=True)
class OffsetRecord:
    """What the store has of a topic, by its batches.

    topic_id : None where the batches are older than this column, or the broker has no ids. read : the offsets whose
    rows are all in the store, by partition; the first range begins where reading began.
    """

    topic_id: str | None
    query_id: str  # of the newest batch
    read: Ranges
    as_of: datetime | None = field(default=None, compare=False)  # begin of the newest batch

    def until_after(self, number: int, first: int) -> int:
        """First offset of a partition, not below `first`, that is not in the store."""
        for place, (start, until) in enumerate(self.read.get(number, ())):
            if first <= until:
                return until if start <= first or not place else first
        return first

    @property
    def ends(self) -> dict[int, int]:
        """Partition -> offset after the last one that is in the store."""
        return {number: parts[-1][1] for number, parts in self.read.items()}

    def missing(self, before: Mapping[int, int]) -> Ranges:
        """The offsets below `before` (partition -> offset) that are not in the store."""
        holes: Ranges = {}
        for number, upto in before.items():
            parts = self.read.get(number, ((0, 0),))
            starts = [first for first, _ in parts[1:]] + [upto]
            found = [
                (until, min(start, upto))
                for (_, until), start in zip(parts, starts, strict=True)
                if until < min(start, upto)
            ]
            if found:
                holes[number] = tuple(found)
        return holes


def offset_record(connection: Connection, topic: str) -> OffsetRecord | None:
    """The store's record of the topic with the id of its newest batch; None where it has no batch of the topic.

    Without ids only the newest query counts: those before it may have read a topic that was created again since.
    """
    newest = fetch_row(connection, _NEWEST, (topic,))
    if newest is None:
        return None
    topic_id, query_id, as_of = newest
    read: Ranges = {}
    for number, first, until in fetch_all(
        connection, _RANGES, {"topic": topic, "topic_id": topic_id, "query_id": query_id}
    ):
        read[number] = (*read.get(number, ()), (first, until))
    return OffsetRecord(topic_id, query_id, read, as_of)


def adopt_topic_id(connection: Connection, topic: str, topic_id: str, query_id: str) -> None:
    """Give the batches of a query that have no topic id this one."""
    execute(connection, _ADOPT, (topic_id, topic, query_id))


def forget_batches(connection: Connection, topic: str) -> int:
    """Rename the topic of its batches, so that it counts as never read; returns how many there were."""
    return execute(connection, _FORGET_TOPIC, (topic,))


def record_lost(connection: Connection, topic: str, topic_id: str | None, lost: Ranges) -> None:
    """Record offsets that are not scored and never will be, so that they are reported once.

    Each is a batch of its own without messages or windows, whose query_id begins with `lost-`.
    """
    for number, parts in lost.items():
        for part in parts:
            values = {"topic": topic, "topic_id": topic_id, "offsets": _json({number: part})}
            execute(connection, _LOST, values)


def last_versions(connection: Connection, topic: str) -> tuple[str | None, str | None]:
    """Versions of classifier and regressor that scored the topic's last batch; None where there is none."""
    row = fetch_row(connection, _LAST_VERSIONS, (topic,))
    return (None, None) if row is None else (row[0], row[1])
