"""Dead letters: messages and readings that could not be used, stored by their position in the topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import compress

import numpy as np
from psycopg2 import Binary
from psycopg2.extras import execute_values

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all
from activitymodule.telemetry.excluded import Excluded

PAYLOAD_BYTES = 65_536  # stored of a message

# A letter whose topic id is not known is the same as one with an id where both reached Kafka at the same instant.
_WRITE = """
INSERT INTO dead_letters (
    topic, kafka_partition, kafka_offset, item, topic_id, device_id, reason, detail, payload, kafka_at
)
SELECT new.* FROM (VALUES %s) AS new (
    topic, kafka_partition, kafka_offset, item, topic_id, device_id, reason, detail, payload, kafka_at
)
WHERE NOT EXISTS (
    SELECT FROM dead_letters AS old
    WHERE (old.topic, old.kafka_partition, old.kafka_offset, old.item)
        = (new.topic, new.kafka_partition, new.kafka_offset, new.item)
      AND old.kafka_at = new.kafka_at AND '' IN (old.topic_id, new.topic_id)
)
ON CONFLICT DO NOTHING
"""
_TEMPLATE = (
    "(%s, %s::integer, %s::bigint, %s::integer, %s, %s, %s, %s, %s::bytea, "
    "timestamptz 'epoch' + %s * interval '1 microsecond')"
)


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
    topic_id: Sequence[str | None] | None = None  # of each; None: not known

    def __len__(self) -> int:
        return len(self.reason)

    def without(self, excluded: Excluded) -> DeadLetters:
        """Those of no excluded watch, and no payload that names one."""
        if not excluded:
            return self
        at = [int(us) for us in self.kafka_at_us]
        named = [excluded.named_in(payload, us) for payload, us in zip(self.payload, at, strict=True)]
        keep = [
            not (excluded.covers(device, us) if device is not None else names)
            for device, us, names in zip(self.device_id, at, named, strict=True)
        ]
        payload = [None if names else value for value, names in zip(self.payload, named, strict=True)]
        return replace(
            self,
            partition=list(compress(self.partition, keep)),
            offset=list(compress(self.offset, keep)),
            item=list(compress(self.item, keep)),
            device_id=list(compress(self.device_id, keep)),
            reason=list(compress(self.reason, keep)),
            detail=list(compress(self.detail, keep)),
            payload=list(compress(payload, keep)),
            kafka_at_us=list(compress(at, keep)),
            topic_id=None if self.topic_id is None else list(compress(self.topic_id, keep)),
        )


def _text(value: str | None) -> str | None:
    """Text that PostgreSQL accepts: no NUL, no lone surrogate."""
    if value is None:
        return None
    return value.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


def write_dead_letters(connection: Connection, letters: DeadLetters) -> int:
    """Write the letters that are not stored yet, in the caller's transaction; returns how many were new."""
    rows = sorted(
        zip(
            [letters.topic] * len(letters),
            (int(n) for n in letters.partition),
            (int(n) for n in letters.offset),
            (int(n) for n in letters.item),
            (known or "" for known in letters.topic_id or [None] * len(letters)),
            (_text(d) for d in letters.device_id),
            (_text(str(r)) for r in letters.reason),
            (_text(d) for d in letters.detail),
            (None if p is None else Binary(p[:PAYLOAD_BYTES]) for p in letters.payload),
            (int(us) for us in letters.kafka_at_us),
            strict=True,
        ),
        key=lambda row: row[:5],  # two writers of the same letters lock rows in the same order
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
    topic_id: str  # Kafka's; empty where it is not known


@dataclass(frozen=True)
class Selection:
    """A filter of dead letters; None: any value."""

    topic: str | None = None
    reason: str | None = None
    device_id: str | None = None
    since: datetime | None = None
    partition: int | None = None
    offset: int | None = None
    item: int | None = None
    replayed: bool | None = None


ANY = Selection()

Place = tuple[str, str, int, int]
"""Of a message: topic, topic id, partition, offset."""

_LIST = """
SELECT topic, kafka_partition, kafka_offset, item, device_id, reason, detail,
       CASE WHEN %(payloads)s THEN payload END, kafka_at, noticed_at, replayed_at, topic_id
FROM dead_letters
WHERE (%(topic)s IS NULL OR topic = %(topic)s)
  AND (%(reason)s IS NULL OR reason = %(reason)s)
  AND (%(device_id)s IS NULL OR device_id = %(device_id)s)
  AND (%(since)s::timestamptz IS NULL OR noticed_at >= %(since)s)
  AND (%(partition)s::integer IS NULL OR kafka_partition = %(partition)s)
  AND (%(offset)s::bigint IS NULL OR kafka_offset = %(offset)s)
  AND (%(item)s::integer IS NULL OR item = %(item)s)
  AND (%(replayed)s::boolean IS NULL OR (replayed_at IS NOT NULL) = %(replayed)s)
ORDER BY noticed_at DESC, topic, kafka_partition, kafka_offset DESC, item
LIMIT %(limit)s
"""


def list_dead_letters(
    connection: Connection,
    selection: Selection = ANY,
    *,
    limit: int | None = 100,
    payloads: bool = True,
) -> list[DeadLetter]:
    """Dead letters, the newest first; limit None: all of them."""
    values = {**asdict(selection), "limit": limit, "payloads": payloads}
    letters = [DeadLetter(*row) for row in fetch_all(connection, _LIST, values)]
    return [one if one.payload is None else replace(one, payload=bytes(one.payload)) for one in letters]


_SUMMARY = """
SELECT topic, reason, letters, devices, replayed, first_noticed, last_noticed, an_example
FROM dead_letter_summary ORDER BY letters DESC, topic, reason
"""


@dataclass(frozen=True)
class ReasonCount:
    """Dead letters of one topic with one reason."""

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
    return [ReasonCount(*row) for row in fetch_all(connection, _SUMMARY)]


_MARK = """
UPDATE dead_letters SET replayed_at = clock_timestamp()
FROM unnest(%s::text[], %s::text[], %s::integer[], %s::bigint[]) AS sent (topic, topic_id, number, place)
WHERE dead_letters.topic = sent.topic AND dead_letters.topic_id = sent.topic_id
  AND kafka_partition = sent.number AND kafka_offset = sent.place
"""


def mark_replayed(connection: Connection, places: Sequence[Place]) -> int:
    """Record that the messages at these places were sent again."""
    if not places:
        return 0
    topics, topic_ids, partitions, offsets = zip(*places, strict=True)
    return execute(connection, _MARK, (list(topics), list(topic_ids), list(partitions), list(offsets)))
