"""Where the stream begins: the topic, the store's record of batches and the checkpoint are compared with each other.

The store's record decides. A checkpoint that is ahead of it (the store was restored from an older backup) is set aside,
and reading resumes from the record. Offsets count only together with Kafka's id of the topic.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from pyspark.sql import SparkSession

from activitymodule.errors import (
    DataLossError,
    RefusedError,
    ServiceUnavailableError,
    TopicRecreatedError,
)
from activitymodule.kafka import topics
from activitymodule.kafka.clients import offsets_before, topic_ends
from activitymodule.kafka.failures import no_topic
from activitymodule.settings import Settings
from activitymodule.store.batches import (
    OffsetRecord,
    Ranges,
    adopt_topic_id,
    forget_batches,
    offset_record,
    record_lost,
)
from activitymodule.store.connection import Connection
from activitymodule.streaming.checkpoint import Checkpoint, note_topic, read_checkpoint, set_aside
from activitymodule.streaming.log import log
from activitymodule.streaming.offsets import offsets_json

_WATCH_SECONDS = 5.0
_CLOCKS_DIFFER = timedelta(seconds=2)  # the broker's and the store's, at the most
_REMEDY = (
    "Score what it holds now, from its start, with `activity score --forget-offsets --set-checkpoint-aside`: nothing "
    "that is stored is removed or gets worse. Messages that only the archive has are scored by `activity backfill`"
)


@dataclass(frozen=True)
class Topic:
    """The topic as Kafka has it now.

    topic_id : None where the broker has no ids. ends : partition -> (first offset retained, offset after the last)
    """

    name: str
    topic_id: str | None
    ends: dict[int, tuple[int, int]]

    @property
    def first(self) -> dict[int, int]:
        """Partition -> first offset retained."""
        return {number: first for number, (first, _) in self.ends.items()}


@dataclass(frozen=True)
class Start:
    """Where the query begins.

    offsets : Spark's `startingOffsets`, without effect where a checkpoint is continued. begins : partition -> offset,
    for the record of the first batch
    """

    offsets: str
    begins: dict[int, int]
    topic_id: str | None


def topic_now(config: Settings) -> Topic:
    """The topic of the settings. Raises NoTopicError where it does not exist."""
    name = config.kafka.topic
    ends = topic_ends(config, name)
    if ends is None:
        raise no_topic(config, name)
    return Topic(name, topics.topic_id(config, name), ends)


def start_of(
    spark: SparkSession,
    config: Settings,
    connection: Connection,
    path: str,
    *,
    accept_data_loss: bool = False,
    forget_offsets: bool = False,
) -> Start:
    """Where the query with the checkpoint at `path` begins; commits what it records.

    Raises TopicRecreatedError, DataLossError where Kafka has deleted unscored messages and that is not accepted, and
    RefusedError where the checkpoint is of another store.
    """
    topic, checkpoint = topic_now(config), read_checkpoint(spark, path)
    forgotten = forget_offsets and checkpoint.position is None and forget_batches(connection, topic.name) > 0
    record = record_of(config, connection, topic, checkpoint)
    lost = record.missing(topic.first) if record else {}
    if lost:
        assert record is not None
        if not accept_data_loss:
            raise DataLossError(loss_sentence(topic.name, lost))
        log(loss_sentence(topic.name, lost) + " (accepted)")
        record_lost(connection, topic.name, topic.topic_id, lost)
    connection.commit()
    unread = unread_before(checkpoint, record, topic)
    if record is not None and (checkpoint.position is None or unread):
        start = _resumed(config, topic, record, unread)
        if checkpoint.position is not None:
            log(f"the checkpoint was set aside as {set_aside(spark, path)}")
    else:
        # a topic that was created again is read from its start, whatever a first run would do
        starting = "earliest" if forgotten else config.scoring.starting_offsets
        ends = {
            number: first if starting == "earliest" else last for number, (first, last) in topic.ends.items()
        }
        start = Start(starting, checkpoint.position or ends, topic.topic_id)
    if topic.topic_id is not None:
        note_topic(spark, path, topic.topic_id)
    return start


def record_of(
    config: Settings, connection: Connection, topic: Topic, checkpoint: Checkpoint
) -> OffsetRecord | None:
    """The store's record of this topic; one without an id that fits gets the topic's. None: no batch of it.

    Raises TopicRecreatedError where record or checkpoint are of another topic of the same name, RefusedError where the
    checkpoint has committed batches and the store has none.
    """
    if error := another_topic(topic, checkpoint.topic_id, checkpoint.position or {}):
        raise error
    record = offset_record(connection, topic.name)
    if record is None:
        if checkpoint.committed:
            raise RefusedError(
                f"the checkpoint {checkpoint.path} continues batches that this store does not have (a new or another "
                "database); score the topic from its start with `activity score --set-checkpoint-aside`"
            )
        return None
    if error := another_topic(topic, record.topic_id, record.ends):
        raise error
    if record.topic_id is None:
        if error := _too_new(config, topic, record):
            raise error
        if topic.topic_id is not None:
            adopt_topic_id(connection, topic.name, topic.topic_id, record.query_id)
    return record


def _too_new(config: Settings, topic: Topic, record: OffsetRecord) -> TopicRecreatedError | None:
    """The error where the last message that was read, by its offset, reached Kafka after it was read."""
    last = {n: until - 1 for n, until in record.ends.items() if until > topic.first[n]}
    assert record.as_of is not None
    for number, at in topics.arrivals(config, topic.name, last).items():
        if at > record.as_of + _CLOCKS_DIFFER:
            return TopicRecreatedError(
                f"the topic {topic.name} was deleted and created again: its message {last[number]:,} of partition "
                f"{number} arrived at {at:%Y-%m-%d %H:%M:%S} UTC, and the message of that place was read before. "
                f"{_REMEDY}"
            )
    return None


def another_topic(topic: Topic, topic_id: str | None, read: Mapping[int, int]) -> TopicRecreatedError | None:
    """The error for a topic that cannot be the one that was read, with this id and up to these offsets."""
    if topic_id is not None and topic.topic_id is not None and topic_id != topic.topic_id:
        return TopicRecreatedError(
            f"the topic {topic.name} was deleted and created again: what was read had the id {topic_id}, now it is "
            f"{topic.topic_id}. None of its messages counts as scored, whatever their offsets. {_REMEDY}"
        )
    short = [(n, until) for n, until in sorted(read.items()) if until > topic.ends.get(n, (0, -1))[1]]
    if not short:
        return None
    number, until = short[0]
    has = f"ends at {topic.ends[number][1]:,}" if number in topic.ends else "is not there"
    return TopicRecreatedError(
        f"the topic {topic.name} ends before the offsets read from it (partition {number} was read up to {until:,} and "
        f"{has}): it was deleted and created again, lost messages, or this is another broker. {_REMEDY}"
    )


def unread_before(checkpoint: Checkpoint, record: OffsetRecord | None, topic: Topic) -> Ranges:
    """The offsets that the checkpoint would pass over: not in the store, and still in Kafka."""
    if record is None or checkpoint.position is None:
        return {}
    missing = record.missing(checkpoint.position)
    kept = {
        number: tuple(
            (max(first, topic.first.get(number, 0)), until)
            for first, until in parts
            if until > topic.first.get(number, 0)
        )
        for number, parts in missing.items()
    }
    return {number: parts for number, parts in kept.items() if parts}


def _resumed(config: Settings, topic: Topic, record: OffsetRecord, unread: Ranges) -> Start:
    """Begin at the store's record, earlier by as long as a window may stay open, so that windows are complete."""
    until = {n: record.until_after(n, first) for n, first in topic.first.items() if n in record.read}
    seconds = config.windows.watermark_minutes * 60 + config.windows.length_seconds
    begins = topic.first | offsets_before(config, topic.name, until, seconds)
    again = sum(until[number] - begins[number] for number in until)
    why = (
        f"the store lacks messages that the checkpoint has read ({places(unread)}), as after the restore of an older "
        "backup"
        if unread
        else "the checkpoint is missing"
    )
    log(
        f"{why}; resuming from the store's record of offsets and reading {again:,} messages again, so that open "
        "windows are complete"
    )
    return Start(offsets_json(topic.name, begins), begins, topic.topic_id)


def places(offsets: Ranges) -> str:
    """Offsets for a message, the last one included."""
    return ", ".join(
        f"partition {number}: {first} to {until - 1}"
        for number, parts in sorted(offsets.items())
        for first, until in parts
    )


def loss_sentence(topic: str, lost: Ranges) -> str:
    """Which messages were deleted, and what to do, as one sentence."""
    count = sum(until - first for parts in lost.values() for first, until in parts)
    return (
        f"DATA LOSS: Kafka has deleted {count:,} unscored messages of {topic} ({places(lost)}); continue with "
        "`activity score --accept-data-loss`, then score the ones in the archive with `activity backfill`"
    )


def data_loss(config: Settings, connection: Connection) -> RefusedError:
    """The error for a query that Spark ended because messages that it was to read are not there."""
    topic = topic_now(config)
    record = offset_record(connection, topic.name)
    if record is not None:
        if error := another_topic(topic, record.topic_id, record.ends):
            return error
        if lost := record.missing(topic.first):
            return DataLossError(loss_sentence(topic.name, lost))
    return DataLossError(
        f"DATA LOSS: Kafka no longer holds messages of {topic.name} that a query was to read; those that the store "
        f"lacks are still there. {_REMEDY}"
    )


class TopicWatch:
    """Notices that the topic of a running query was deleted and created again."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._next = 0.0
        self.topic_id: str | None = None

    def check(self, *, now: bool = False) -> None:
        """Ask Kafka every few seconds, or now. Raises TopicRecreatedError."""
        if self.topic_id is None or (time.monotonic() < self._next and not now):
            return
        self._next = time.monotonic() + _WATCH_SECONDS
        name = self._config.kafka.topic
        try:
            topic_id = topics.topic_id(self._config, name)
        except ServiceUnavailableError:
            return  # whether Kafka answers is watched elsewhere
        if error := another_topic(Topic(name, topic_id, {}), self.topic_id, {}):
            raise error
