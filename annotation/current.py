"""The lag and the drift of the stream now, for pages and REST routes alike."""

from __future__ import annotations

import asyncio
import time

from activitymodule.errors import BrokerError, ServiceUnavailableError
from activitymodule.kafka.clients import topic_ends
from activitymodule.kafka.topics import topic_id
from activitymodule.monitoring.figures import lag_of
from activitymodule.monitoring.report import DriftReport, drift_report
from activitymodule.serving.record import serving_version
from activitymodule.settings import Settings
from activitymodule.store.batches import last_offsets
from annotation import context

_DRIFT_SECONDS = 10.0
_TOPIC_SECONDS = 10.0
_topic: tuple[float, str | None] | None = None
_drift: tuple[float, DriftReport] | None = None
_drift_lock = asyncio.Lock()


def partition_ends(config: Settings) -> dict[int, tuple[int, int]] | None:
    """First and next offset of each partition of the topic; None if Kafka does not tell. Blocks."""
    try:
        return topic_ends(config, config.kafka.topic)
    except (BrokerError, ServiceUnavailableError):
        return None


def lag_from(config: Settings, ends: dict[int, tuple[int, int]] | None) -> dict[int, int] | None:
    """Messages of each partition that are not scored yet, given `partition_ends`. Blocks."""
    if ends is None:
        return None
    number = _topic_id(config)
    scored = context.read(lambda connection: last_offsets(connection, config.kafka.topic, number))
    return lag_of(ends, scored or {})


def _topic_id(config: Settings) -> str | None:
    """Kafka's id of the topic, at most some seconds old; None where it does not tell."""
    global _topic
    if _topic is None or time.monotonic() - _topic[0] > _TOPIC_SECONDS:
        try:
            _topic = (time.monotonic(), topic_id(config, config.kafka.topic))
        except (BrokerError, ServiceUnavailableError):
            return None
    return _topic[1]


def lag_now(config: Settings) -> dict[int, int] | None:
    """Messages of each partition that are not scored yet; None without a topic. Blocks.

    Raises ServiceUnavailableError if Kafka or the store does not answer, BrokerError if Kafka refuses.
    """
    return lag_from(config, topic_ends(config, config.kafka.topic))


async def drift_now() -> DriftReport:
    """The drift report of the version that serves now, at most ten seconds old."""
    global _drift
    config = context.settings()
    serving = await context.run(serving_version, config, config.registry.classifier)
    number = serving.version if serving else None
    async with _drift_lock:
        if (
            _drift is None
            or time.monotonic() - _drift[0] > _DRIFT_SECONDS
            or _drift[1].model_version != number
        ):
            report = await context.run_read(
                lambda connection: drift_report(config, connection, version=serving)
            )
            _drift = (time.monotonic(), report)
        return _drift[1]
