"""The services of the embedded stack, in the order they start."""

from __future__ import annotations

from activitymodule.embedded.airflow import Airflow, DagProcessor, Scheduler
from activitymodule.embedded.broker import Broker
from activitymodule.embedded.events import Events
from activitymodule.embedded.postgres import Postgres
from activitymodule.embedded.registry import Registry
from activitymodule.embedded.service import Service
from activitymodule.settings import Settings

CLASSES: tuple[type[Service], ...] = (
    Postgres,
    Broker,
    Registry,
    Events,
    Airflow,
    Scheduler,
    DagProcessor,
)
NAMES = tuple(service.name for service in CLASSES)


def services_of(config: Settings) -> list[Service]:
    """One of each, in the order they start."""
    return [service(config) for service in CLASSES]
