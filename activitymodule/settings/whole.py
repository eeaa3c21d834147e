"""All settings as one frozen model."""

from __future__ import annotations

from activitymodule.settings.cloud import Cloud, Fetch
from activitymodule.settings.models import (
    Airflow,
    Archive,
    Console,
    Days,
    Events,
    Fleet,
    Kafka,
    Labels,
    Lake,
    Learning,
    Local,
    Models,
    Monitoring,
    Oidc,
    Queue,
    Registry,
    Reports,
    Retention,
    Scoring,
    Section,
    Spark,
    Store,
    Telemetry,
    Windows,
)


class Settings(Section):
    """All settings, a section each."""

    kafka: Kafka = Kafka()
    store: Store = Store()
    registry: Registry = Registry()
    spark: Spark = Spark()
    telemetry: Telemetry = Telemetry()
    windows: Windows = Windows()
    scoring: Scoring = Scoring()
    events: Events = Events()
    archive: Archive = Archive()
    lake: Lake = Lake()
    models: Models = Models()
    queue: Queue = Queue()
    labels: Labels = Labels()
    learning: Learning = Learning()
    monitoring: Monitoring = Monitoring()
    days: Days = Days()
    retention: Retention = Retention()
    console: Console = Console()
    oidc: Oidc = Oidc()
    airflow: Airflow = Airflow()
    fleet: Fleet = Fleet()
    reports: Reports = Reports()
    fetch: Fetch = Fetch()
    cloud: Cloud = Cloud()
    local: Local = Local()
