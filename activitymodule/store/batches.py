"""The store's own record of each micro-batch: its offsets, the versions that scored it, whether it finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all, fetch_one, fetch_value

_KEPT = 100_000  # records of finished batches kept a query

_BEGIN = """
INSERT INTO batches (query_id, batch_id, topic, offsets, model_version, energy_version)
VALUES (%(query_id)s, %(batch_id)s, %(topic)s, %(offsets)s::jsonb, %(model_version)s, %(energy_version)s)
ON CONFLICT (query_id, batch_id) DO NOTHING
"""
_READ = """
SELECT query_id, batch_id, topic, offsets, model_version, energy_version, started_at, finished_at
FROM batches WHERE query_id = %s AND batch_id = %s
"""
_FINISH = """
UPDATE batches
SET finished_at = coalesce(finished_at, clock_timestamp()), windows = %(windows)s,
    messages = coalesce(%(messages)s, (
        SELECT sum((range ->> 1)::bigint - (range ->> 0)::bigint)
        FROM jsonb_each(offsets) AS by_partition (number, range)))
WHERE query_id = %(query_id)s AND batch_id = %(batch_id)s
"""
_FORGET = "DELETE FROM batches WHERE query_id = %s AND batch_id < %s AND finished_at IS NOT NULL"
_LATE = "UPDATE batches SET dropped_late = %s WHERE query_id = %s AND batch_id = %s"
# Only the newest query: its offsets are right also where the topic was recreated and offsets start again at 0.
_LAST = """
SELECT by_partition.number::integer, (by_partition.range ->> 1)::bigint
FROM (
    SELECT offsets FROM batches
    WHERE topic = %s AND finished_at IS NOT NULL
    ORDER BY started_at DESC, batch_id DESC LIMIT 1
) AS last, jsonb_each(last.offsets) AS by_partition (number, range)
"""
_KNOWN = "SELECT EXISTS (SELECT FROM batches WHERE query_id = %s)"


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
    offsets: Mapping[int, tuple[int, int]],
    model_version: str | None,
    energy_version: str | None,
) -> BatchRecord:
    """Record that a batch begins; a batch that runs again gets the record of its first run."""
    ranges = json.dumps({str(number): [int(first), int(until)] for number, (first, until) in offsets.items()})
    values = {
        "query_id": query_id,
        "batch_id": batch_id,
        "topic": topic,
        "offsets": ranges,
        "model_version": model_version,
        "energy_version": energy_version,
    }
    replayed = execute(connection, _BEGIN, values) == 0
    row = fetch_one(connection, _READ, (query_id, batch_id))
    stored = {int(number): (int(first), int(until)) for number, (first, until) in row[3].items()}
    return BatchRecord(row[0], row[1], row[2], stored, row[4], row[5], row[6], row[7], replayed)


def finish_batch(
    connection: Connection, *, query_id: str, batch_id: int, windows: int, messages: int | None = None
) -> None:
    """Record that all rows of a batch are written; messages: by default counted from its offsets."""
    values = {"query_id": query_id, "batch_id": batch_id, "windows": windows, "messages": messages}
    execute(connection, _FINISH, values)
    if batch_id and batch_id % 1000 == 0:
        execute(connection, _FORGET, (query_id, batch_id - _KEPT))


def record_late(connection: Connection, query_id: str, dropped_by_batch: Mapping[int, int]) -> None:
    """Record how many panes each batch dropped because they were older than the watermark."""
    for batch_id, dropped in dropped_by_batch.items():
        execute(connection, _LATE, (dropped, query_id, batch_id))


def last_offsets(connection: Connection, topic: str) -> dict[int, int] | None:
    """Partition -> first offset that is not scored yet, from the last finished batch of the newest query.

    None where the store has no finished batch of the topic.
    """
    return {row[0]: row[1] for row in fetch_all(connection, _LAST, (topic,))} or None


def knows_query(connection: Connection, query_id: str) -> bool:
    """Whether the store has a batch of the query, finished or not."""
    return bool(fetch_value(connection, _KNOWN, (query_id,)))
