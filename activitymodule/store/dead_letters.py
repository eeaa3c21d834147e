"""Dead letters: messages and readings that could not be used, kept by their place in the topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from psycopg2 import Binary
from psycopg2.extras import RealDictCursor, execute_values

from activitymodule.store.connection import Connection

PAYLOAD_BYTES = 65_536  # as much of a message as is kept

_WRITE = """
INSERT INTO dead_letters (
    topic, kafka_partition, kafka_offset, item, device_id, reason, detail, payload, kafka_at
) VALUES %s
ON CONFLICT DO NOTHING
"""
_TEMPLATE = "(%s, %s, %s, %s, %s, %s, %s, %s, timestamptz 'epoch' + %s * interval '1 microsecond')"


@dataclass(frozen=True)
class DeadLetters:
    """n dead letters of one topic, by columns."""

    topic: str
    partition: np.ndarray | Sequence[int]  # (n,)
    offset: np.ndarray | Sequence[int]  # (n,)
    item: np.ndarray | Sequence[int]  # (n,); -1: the whole message
    device_id: Sequence[str | None]
    reason: Sequence[str]
    detail: Sequence[str | None]
    payload: Sequence[bytes | None]
    kafka_at_us: np.ndarray | Sequence[int]  # (n,) UTC microseconds

    def __len__(self) -> int:
        return len(self.reason)


def _text(value: str | None) -> str | None:
    """Text that PostgreSQL takes: no NUL, no half of a surrogate pair."""
    if value is None:
        return None
    return value.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


def write_dead_letters(connection: Connection, letters: DeadLetters) -> int:
    """Write within the caller's transaction what is not there yet; returns how many were new."""
    rows = sorted(
        zip(
            [letters.topic] * len(letters),
            (int(n) for n in letters.partition),
            (int(n) for n in letters.offset),
            (int(n) for n in letters.item),
            (_text(d) for d in letters.device_id),
            (_text(str(r)) for r in letters.reason),
            (_text(d) for d in letters.detail),
            (None if p is None else Binary(p[:PAYLOAD_BYTES]) for p in letters.payload),
            (int(us) for us in letters.kafka_at_us),
            strict=True,
        ),
        key=lambda row: row[:4],  # two writers of the same letters take their locks in the same order
    )
    new = 0
    with connection.cursor() as cursor:
        for first in range(0, len(rows), 500):
            execute_values(cursor, _WRITE, rows[first : first + 500], template=_TEMPLATE, page_size=500)
            new += cursor.rowcount
    return new


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter as stored."""

    topic: str
    partition: int
    offset: int
    item: int
    device_id: str | None
    reason: str
    detail: str | None
    payload: bytes | None
    kafka_at: datetime | None
    noticed_at: datetime
    replayed_at: datetime | None


@dataclass(frozen=True)
class Selection:
    """Which dead letters are meant; None: whatever."""

    topic: str | None = None
    reason: str | None = None
    device_id: str | None = None
    since: datetime | None = None
    partition: int | None = None
    offset: int | None = None
    item: int | None = None
    replayed: bool | None = None

    def bound(self) -> dict[str, Any]:
        return dict(self.__dict__)


ANY = Selection()

_WHERE = """
WHERE (%(topic)s IS NULL OR topic = %(topic)s)
  AND (%(reason)s IS NULL OR reason = %(reason)s)
  AND (%(device_id)s IS NULL OR device_id = %(device_id)s)
  AND (%(since)s::timestamptz IS NULL OR noticed_at >= %(since)s)
  AND (%(partition)s::integer IS NULL OR kafka_partition = %(partition)s)
  AND (%(offset)s::bigint IS NULL OR kafka_offset = %(offset)s)
  AND (%(item)s::integer IS NULL OR item = %(item)s)
  AND (%(replayed)s::boolean IS NULL OR (replayed_at IS NOT NULL) = %(replayed)s)
"""
_LIST = (
    """
SELECT topic, kafka_partition AS partition, kafka_offset AS offset, item, device_id, reason, detail,
       CASE WHEN %(payloads)s THEN payload END AS payload, kafka_at, noticed_at, replayed_at
FROM dead_letters
"""
    + _WHERE
    + """
ORDER BY noticed_at DESC, topic, kafka_partition, kafka_offset DESC, item
LIMIT %(limit)s
"""
)


def list_dead_letters(
    connection: Connection,
    selection: Selection = ANY,
    *,
    limit: int | None = 100,
    payloads: bool = True,
) -> list[DeadLetter]:
    """Dead letters, the newest first; limit None: all of them."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(_LIST, {**selection.bound(), "limit": limit, "payloads": payloads})
        return [
            DeadLetter(**{**row, "payload": None if row["payload"] is None else bytes(row["payload"])})
            for row in cursor.fetchall()
        ]


@dataclass(frozen=True)
class ReasonCount:
    """How often one reason stood in the way of one topic's messages."""

    topic: str
    reason: str
    letters: int
    devices: int
    replayed: int
    first_noticed: datetime
    last_noticed: datetime
    an_example: str | None


def summarize_dead_letters(connection: Connection) -> list[ReasonCount]:
    """The view dead_letter_summary, the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT topic, reason, letters, devices, replayed, first_noticed, last_noticed, an_example "
            "FROM dead_letter_summary ORDER BY letters DESC, topic, reason"
        )
        return [ReasonCount(*row) for row in cursor.fetchall()]


_MARK = """
UPDATE dead_letters SET replayed_at = clock_timestamp()
FROM unnest(%s::text[], %s::integer[], %s::bigint[]) AS sent (topic, number, place)
WHERE dead_letters.topic = sent.topic AND kafka_partition = sent.number AND kafka_offset = sent.place
"""


def mark_replayed(connection: Connection, places: Sequence[tuple[str, int, int]]) -> int:
    """Note that the messages at these places (topic, partition, offset) were sent again."""
    if not places:
        return 0
    topics, partitions, offsets = zip(*places, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_MARK, (list(topics), list(partitions), list(offsets)))
        return int(cursor.rowcount)
