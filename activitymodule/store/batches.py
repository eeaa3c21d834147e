"""The store's own record of each batch: what it read, which versions scored it, whether it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from activitymodule.store.connection import Connection

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
# The newest query alone: one that took up a topic again knows better than the one before it, also where the
# topic was made anew and its offsets are small again.
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
    """A batch as the store knows it; `replayed`: it was begun before, and its versions are those of then."""

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
    """Record that a batch begins; a batch that is run again gets the record of its first time."""
    ranges = json.dumps({str(number): [int(first), int(until)] for number, (first, until) in offsets.items()})
    with connection.cursor() as cursor:
        cursor.execute(
            _BEGIN,
            {
                "query_id": query_id,
                "batch_id": batch_id,
                "topic": topic,
                "offsets": ranges,
                "model_version": model_version,
                "energy_version": energy_version,
            },
        )
        replayed = cursor.rowcount == 0
        cursor.execute(_READ, (query_id, batch_id))
        row = cursor.fetchone()
    stored = {int(number): (int(first), int(until)) for number, (first, until) in row[3].items()}
    return BatchRecord(row[0], row[1], row[2], stored, row[4], row[5], row[6], row[7], replayed)


def finish_batch(
    connection: Connection, *, query_id: str, batch_id: int, windows: int, messages: int | None = None
) -> None:
    """Record that a batch's rows are all there; messages: by default what its offsets say."""
    with connection.cursor() as cursor:
        cursor.execute(
            _FINISH, {"query_id": query_id, "batch_id": batch_id, "windows": windows, "messages": messages}
        )
        if batch_id and batch_id % 1000 == 0:
            cursor.execute(_FORGET, (query_id, batch_id - _KEPT))


def record_late(connection: Connection, query_id: str, dropped_by_batch: Mapping[int, int]) -> None:
    """Record how many panes each batch dropped because they were older than the watermark."""
    with connection.cursor() as cursor:
        for batch_id, dropped in dropped_by_batch.items():
            cursor.execute(_LATE, (dropped, query_id, batch_id))


def last_offsets(connection: Connection, topic: str) -> dict[int, int] | None:
    """Partition -> first offset that is not scored yet, from the last finished batch of whichever query came
    last; None where the store knows of no finished batch of the topic."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST, (topic,))
        return dict(cursor.fetchall()) or None


def knows_query(connection: Connection, query_id: str) -> bool:
    """Whether any batch of the query was begun here, finished or not."""
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, (query_id,))
        return bool(cursor.fetchone()[0])
