"""Kafka topics: made with the settings' partitions and retention, listed and described."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from activitymodule.errors import ConfigError, ServiceUnavailableError
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


def client_options(settings: Settings) -> dict[str, Any]:
    """Options of kafka-python's clients: kafka.options with its dots as underscores, and who to talk to."""
    options: dict[str, Any] = {key.replace(".", "_"): value for key, value in settings.kafka.options.items()}
    servers = [server.strip() for server in settings.kafka.bootstrap_servers.split(",")]
    return {**options, "bootstrap_servers": servers, "client_id": "activity"}


def unreachable(settings: Settings, error: Exception) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"Kafka does not answer at {settings.kafka.bootstrap_servers} ({type(error).__name__}); "
        "start it with `activity up`, or set ACTIVITY_KAFKA__BOOTSTRAP_SERVERS"
    )


@contextmanager
def _admin(settings: Settings) -> Iterator[Any]:
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        admin = KafkaAdminClient(**client_options(settings), bootstrap_timeout_ms=10_000)
    except (KafkaError, OSError) as error:
        raise unreachable(settings, error) from error
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"kafka.options do not suit kafka-python: {error}") from error
    try:
        yield admin
    finally:
        admin.close()


def create(settings: Settings, names: Sequence[str] | None = None) -> list[str]:
    """Makes the settings' topics (or `names`) where they are missing; returns the names it made."""
    from kafka.errors import KafkaError, TopicAlreadyExistsError

    kafka = settings.kafka
    wanted = list(dict.fromkeys(names or [kafka.topic, kafka.truth_topic]))
    made = []
    with _admin(settings) as admin:
        try:
            there = set(admin.list_topics())
            for name in wanted:
                if name in there:
                    continue
                configs = {"retention.ms": str(kafka.retention_hours * 3_600_000)}
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


def names(settings: Settings) -> list[str]:
    """Every topic but Kafka's own."""
    from kafka.errors import KafkaError

    with _admin(settings) as admin:
        try:
            return sorted(name for name in admin.list_topics() if not name.startswith("__"))
        except KafkaError as error:
            raise unreachable(settings, error) from error


def delete(settings: Settings, wanted: Sequence[str]) -> None:
    """Removes topics with all their messages."""
    with _admin(settings) as admin:
        admin.delete_topics(list(wanted))


def describe(settings: Settings, wanted: Sequence[str] | None = None) -> list[Topic]:
    """Partitions, offsets and retention of topics; ConfigError names one that does not exist."""
    from kafka import KafkaConsumer, TopicPartition
    from kafka.admin import ConfigResource, ConfigResourceType
    from kafka.errors import KafkaError

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
    try:
        with _admin(settings) as admin:
            told = admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name) for name in chosen], config_filter="all"
            )
        consumer = KafkaConsumer(**client_options(settings))
        try:
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
        finally:
            consumer.close()
    except KafkaError as error:
        raise unreachable(settings, error) from error
    return described


def _retention_hours(told: Any, name: str) -> float | None:
    try:
        entry = told["topic"][name]["retention.ms"]
        value = entry["value"] if isinstance(entry, dict) else entry
        milliseconds = int(value)
    except (KeyError, TypeError, ValueError):
        return None
    return milliseconds / 3_600_000 if milliseconds >= 0 else None
