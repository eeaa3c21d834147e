"""Kafka topics: created with the settings' partitions and retention, listed and described."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError

from activitymodule.kafka import clients
from activitymodule.settings import Settings

_BROKERS_CLOCK = 1  # a message's timestamp_type: LogAppendTime


@dataclass(frozen=True)
class Topic:
    """One topic. messages : retained now; retention_hours : None for the broker's default"""

    name: str
    partitions: int
    messages: int
    first_offsets: tuple[int, ...]
    next_offsets: tuple[int, ...]
    retention_hours: float | None


def create(config: Settings, names: Sequence[str] | None = None) -> list[str]:
    """Create those of the settings' topics (or of `names`) that do not exist; returns their names."""
    kafka = config.kafka
    created = []
    # the broker's clock, not the producer's, decides whether a stamp lies ahead and measures latency
    configs = {
        "retention.ms": str(kafka.retention_hours * 3_600_000),
        "message.timestamp.type": "LogAppendTime",
    }
    with clients.admin(config) as admin:
        existing = set(admin.list_topics())
        for name in _chosen(config, names):
            if name in existing:
                continue
            try:
                admin.create_topics(
                    {name: {"num_partitions": kafka.partitions, "configs": configs}}, wait_for_metadata=True
                )
                created.append(name)
            except TopicAlreadyExistsError:
                continue
    return created


def grow(config: Settings, names: Sequence[str] | None = None) -> list[str]:
    """Add partitions to those of the settings' topics (or of `names`) that have fewer than kafka.partitions.

    Returns their names. Partitions are never removed. A watch's readings may move to another partition, which the
    stream allows: it groups them by watch.
    """
    kafka = config.kafka
    with clients.admin(config) as admin:
        small = [
            topic["name"]
            for topic in admin.describe_topics(_chosen(config, names))
            if 0 < len(topic["partitions"]) < kafka.partitions
        ]
        if small:
            admin.create_partitions(dict.fromkeys(small, kafka.partitions))
    return small


def _chosen(config: Settings, names: Sequence[str] | None) -> list[str]:
    """`names`, or the settings' topics, without repeats."""
    events = [config.events.topic] if config.events.enabled else []
    return list(dict.fromkeys(names or [config.kafka.topic, config.kafka.truth_topic, *events]))


def names(config: Settings) -> list[str]:
    """Every topic except Kafka's internal ones."""
    with clients.admin(config) as admin:
        return sorted(name for name in admin.list_topics() if not name.startswith("__"))


def delete(config: Settings, chosen: Sequence[str]) -> None:
    """Delete topics with all their messages."""
    with clients.admin(config) as admin:
        admin.delete_topics(list(chosen))


def topic_id(config: Settings, name: str) -> str | None:
    """Kafka's id of a topic, in Kafka's own spelling: a topic that is deleted and created again gets another one.

    With it an offset names one message for ever. None where there is no such topic, or the broker is older than 2.8
    and has no ids (KIP-516). Raises ServiceUnavailableError where Kafka does not answer, BrokerError where it refuses.
    """
    with clients.admin(config) as admin:
        found = clients.described(admin, name)
    number = UUID(found["topic_id"] or "0" * 32) if found else UUID(int=0)
    return urlsafe_b64encode(number.bytes).decode().rstrip("=") if number.int else None


def arrivals(config: Settings, name: str, offsets: Mapping[int, int]) -> dict[int, datetime]:
    """Partition -> when the message at an offset reached Kafka, by the broker's clock.

    Without those that Kafka does not have, or of which it only knows the sender's clock.
    """
    found: dict[int, datetime] = {}
    with clients.consumer(config, max_poll_records=1) as client:
        for number, offset in offsets.items():
            part = TopicPartition(name, number)
            client.assign([part])
            client.seek(part, offset)
            for message in client.poll(timeout_ms=clients.TIMEOUT_MS).get(part, ()):
                if message.offset == offset and message.timestamp_type == _BROKERS_CLOCK:
                    found[number] = datetime.fromtimestamp(message.timestamp / 1000, UTC)
    return found


def describe(config: Settings, chosen: Sequence[str] | None = None) -> list[Topic]:
    """Partitions, offsets and retention of topics. Raises NoTopicError for one that does not exist."""
    existing = names(config)
    chosen = list(chosen or existing)
    for name in chosen:
        if name not in existing:
            clients.require_topic(config, name)
    if not chosen:
        return []
    described = []
    with clients.admin(config) as admin:
        configs = admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in chosen], config_filter="all"
        )
    with clients.consumer(config) as consumer:
        for name in chosen:
            parts = clients.partitions(consumer, config, name)
            first, after = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
            described.append(
                Topic(
                    name,
                    len(parts),
                    sum(after[part] - first[part] for part in parts),
                    tuple(first[part] for part in parts),
                    tuple(after[part] for part in parts),
                    _retention_hours(configs, name),
                )
            )
    return described


def _retention_hours(configs: Any, name: str) -> float | None:
    try:
        entry = configs["topic"][name]["retention.ms"]
        value = entry["value"] if isinstance(entry, dict) else entry
        milliseconds = int(value)
    except (KeyError, TypeError, ValueError):
        return None
    return milliseconds / 3_600_000 if milliseconds >= 0 else None
