"""Figures of activity events for Prometheus: what waits to be sent, and webhooks that do not take it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from activitymodule.store.connection import Connection
from activitymodule.store.events import outbox
from activitymodule.store.webhooks import list_webhooks


def event_figures(connection: Connection, topic: str) -> Iterator[Metric]:
    """The figures, by two queries along an index."""
    waiting = outbox(connection, topic)
    yield GaugeMetricFamily(
        "activity_events_unsent", "Activity events that the topic has not got yet", value=waiting.unsent
    )
    yield GaugeMetricFamily(
        "activity_events_unsent_seconds",
        "Age of the oldest of them (0: none waits)",
        value=waiting.oldest_seconds,
    )
    states = Counter(one.state for one in list_webhooks(connection))
    family = GaugeMetricFamily("activity_webhooks", "Webhooks by state", labels=["state"])
    for state in ("ok", "failing", "dead"):
        family.add_metric([state], states[state])
    yield family
