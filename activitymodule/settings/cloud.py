"""Settings of what is fetched from the web, and of jobs and tables in a cloud."""

from __future__ import annotations

from pydantic import Field

from activitymodule.settings.models import Section


class Fetch(Section):
    """Raw data of web archives: where their manifests are, and how patiently they are read."""

    manifests: dict[str, str] = Field(
        default_factory=lambda: {"casas": "https://casas.wsu.edu/datasets/smartwatch/"}
    )
    files_at_once: int = Field(4, ge=1, le=64)
    attempts: int = Field(8, ge=1)
    stall_seconds: float = Field(60, gt=0)
    first_wait_seconds: float = Field(1, ge=0)


class Cloud(Section):
    """AWS: where code is staged, EMR Serverless, Glue and Redshift."""

    staging: str | None = None
    application: str = Field("activity", min_length=1, max_length=64)
    release: str = "emr-spark-8.0.0"
    image: str | None = None
    role: str | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    idle_minutes: int = Field(15, ge=1, le=10080)
    executors: int = Field(4, ge=1)
    poll_seconds: float = Field(10, ge=0)
    most_dollars: float = Field(20, ge=0)
    dollars_per_vcpu_hour: float = Field(0.052624, ge=0)
    dollars_per_gb_hour: float = Field(0.0057785, ge=0)
    database: str = Field("activity", pattern=r"^[a-z0-9_]+$")
    redshift: str | None = Field(None, pattern=r"^redshift://[^/\s]+/[^/\s]+$")
