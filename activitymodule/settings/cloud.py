"""Settings of what is fetched from the web, and of jobs and tables in a cloud."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from activitymodule.settings.addresses import Address
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
    """AWS and Google Cloud: where code is staged, what runs jobs, their prices, Glue, Redshift and BigQuery."""

    engine: Literal["emr", "emr-ec2", "dataproc"] = "emr"
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
    service_role: str = Field("EMR_DefaultRole", min_length=1)
    instance_profile: str = Field("EMR_EC2_DefaultRole", min_length=1)
    instance_type: str = Field("m5.xlarge", min_length=1)
    project: str | None = Field(None, pattern=r"^[a-z0-9:.-]+$")
    region: str | None = Field(None, pattern=r"^[a-z0-9-]+$")
    runtime: str = "3.0"
    dataproc_address: Address | None = None
    most_dollars: float = Field(20, ge=0)
    dollars_per_vcpu_hour: float = Field(0.052624, ge=0)
    dollars_per_gb_hour: float = Field(0.0057785, ge=0)
    dollars_per_instance_hour: float = Field(0.24, ge=0)
    dollars_per_dcu_hour: float = Field(0.06, ge=0)
    database: str = Field("activity", pattern=r"^[a-z0-9_]+$")
    redshift: str | None = Field(None, pattern=r"^redshift://[^/\s]+/[^/\s]+$")
    bigquery: str | None = Field(None, pattern=r"^bigquery://[^/\s`]+/[A-Za-z0-9_]+$")
