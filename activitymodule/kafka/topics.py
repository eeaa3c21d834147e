"""Kafka topics: made with the settings' partitions and retention, listed and described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.kafka import clients
from activitymodule.settings import Settings


@dataclass(frozen=True)
class Topic:
    """One topic: `messages` is what it holds now, `retention_hours` None where the broker's default rules."""

    name: str
    partitions: int
    messages: int
    first_offsets: tuple[int, ...]
    next_offsets: tuple[int, ...]
    retention_hours: float | None


def create(settings: Settings, names: Sequence[str] | None = None) -> list[str]:
    """Makes the settings' topics (or `names`) where they are missing; returns the names it made."""
    from kafka.errors import KafkaError, TopicAlreadyExistsError

    kafka = settings.kafka
    made = []
    # the broker's clock, not the producer's: by it is judged whether a stamp lies ahead, and how quick the stream is
    configs = {
        "retention.ms": str(kafka.retention_hours * 3_600_000),
        "message.timestamp.type": "LogAppendTime",
    }
    with clients.admin(settings) as admin:
        try:
            there = set(admin.list_topics())
            for name in _wanted(settings, names):
                if name in there:
                    continue
                try:
                    admin.create_topics(
                        {name: {"num_partitions": kafka.partitions, "configs": configs}},
                        wait_for_metadata=True,
                    )
                    made.append(name)
                except TopicAlreadyExistsError:
                    continue
        except KafkaError as error:
            raise ServiceUnavailableError(f"Kafka would not make the topics: {error}") from error
    return made


def grow(settings: Settings, names: Sequence[str] | None = None) -> list[str]:
    """Adds partitions to the settings' topics (or `names`) that have fewer than kafka.partitions; the names of those.

    Kafka never takes partitions away. A watch's readings may then come by another partition than before; the stream
    gathers them by watch and does not mind.
    """
    from kafka.errors import KafkaError

    kafka = settings.kafka
    with clients.admin(settings) as admin:
        try:
            small = [
                told["name"]
                for told in admin.describe_topics(_wanted(settings, names))
                if 0 < len(told["partitions"]) < kafka.partitions
            ]
            if small:
                admin.create_partitions(dict.fromkeys(small, kafka.partitions))
        except KafkaError as error:
            raise ServiceUnavailableError(f"Kafka would not add partitions: {error}") from error
    return small


def _wanted(settings: Settings, names: Sequence[str] | None) -> list[str]:
    """`names`, or the settings' topics; each once."""
    return list(dict.fromkeys(names or [settings.kafka.topic, settings.kafka.truth_topic]))


def names(settings: Settings) -> list[str]:
    """Every topic but Kafka's own."""
    with clients.admin(settings) as admin:
        return sorted(name for name in admin.list_topics() if not name.startswith("__"))


def delete(settings: Settings, wanted: Sequence[str]) -> None:
    """Removes topics with all their messages."""
    with clients.admin(settings) as admin:
        admin.delete_topics(list(wanted))


def describe(settings: Settings, wanted: Sequence[str] | None = None) -> list[Topic]:
    """Partitions, offsets and retention of topics; ConfigError names one that does not exist."""
    from kafka import TopicPartition
    from kafka.admin import ConfigResource, ConfigResourceType

    there = names(settings)
    chosen = list(wanted) if wanted else there
    if missing := [name for name in chosen if name not in there]:
        raise ConfigError(
            f"there is no topic {missing[0]}; `activity topics list` shows them, "
            "`activity topics create` makes ours"
        )
    if not chosen:
        return []
    described = []
    with clients.admin(settings) as admin:
        told = admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in chosen], config_filter="all"
        )
    with clients.consumer(settings) as consumer:
        for name in chosen:
            parts = [TopicPartition(name, n) for n in sorted(consumer.partitions_for_topic(name) or ())]
            first, after = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
            described.append(
                Topic(
                    name,
                    len(parts),
                    sum(after[part] - first[part] for part in parts),
                    tuple(first[part] for part in parts),
                    tuple(after[part] for part in parts),
                    _retention_hours(told, name),
                )
            )
    return described


def _retention_hours(told: Any, name: str) -> float | None:
    try:
        entry = told["topic"][name]["retention.ms"]
        value = entry["value"] if isinstance(entry, dict) else entry
        milliseconds = int(value)
    except (KeyError, TypeError, ValueError):
        return None
    return milliseconds / 3_600_000 if milliseconds >= 0 else None
