"""EMR Serverless: the application, its job runs, and the logs of their drivers."""

from __future__ import annotations

import gzip
import json
import time
import urllib.parse
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from botocore.client import BaseClient

from activitymodule.cloud.aws import client, explained
from activitymodule.cloud.s3 import Bucket
from activitymodule.errors import ConfigError, NotAllowedError, NotFoundError, ServiceUnavailableError

SERVICE = "emr-serverless.amazonaws.com"
ENDED = ("SUCCESS", "FAILED", "CANCELLED")
_CORES, _GIGABYTES = 4, 16  # of the driver, and of each executor
_USABLE = ("CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED")
_DRIVER = "SPARK_DRIVER"


@dataclass(frozen=True)
class Job:
    """A job run. seconds : that it ran; vcpu_hours, gb_hours : that are billed, as far as they are known."""

    id: str
    application: str
    name: str
    state: str
    details: str = ""
    created_at: datetime | None = None
    seconds: int = 0
    vcpu_hours: float = 0.0
    gb_hours: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED


@dataclass(frozen=True)
class Wish:
    """An application as it is made where there is none of its name."""

    name: str
    release: str
    image: str | None
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    idle_minutes: int
    executors: int


@dataclass(frozen=True)
class Submission:
    """A job run to start. arguments : of the entry script; conf : of Spark; minutes : after which EMR ends it, 0:
    never; streaming : EMR starts it again when it fails; token : the same one starts no second job."""

    name: str
    role: str
    entry: str
    arguments: tuple[str, ...]
    conf: Mapping[str, str]
    logs: str
    minutes: int
    streaming: bool
    token: str


def capacity(executors: int) -> tuple[int, int]:
    """(vCPU, GB of memory) of a driver and so many executors."""
    return _CORES * (executors + 1), _GIGABYTES * (executors + 1)


def sizes(executors: int) -> dict[str, str]:
    """Spark's configuration for them. EMR adds a tenth of the memory for Python, at least 384 MB."""
    memory = f"{_GIGABYTES * 7 // 8}g"
    return {
        "spark.driver.cores": str(_CORES),
        "spark.driver.memory": memory,
        "spark.executor.cores": str(_CORES),
        "spark.executor.memory": memory,
        "spark.executor.instances": str(executors),
        "spark.dynamicAllocation.enabled": "false",
    }


class Emr:
    """EMR Serverless of the account and region that boto3 finds."""

    def __init__(self) -> None:
        self._emr: BaseClient = client("emr-serverless")
        self.region: str = self._emr.meta.region_name

    def application(self, name: str) -> str | None:
        """The id of the application of this name; None where there is none that can run jobs."""
        with explained("looking for applications of EMR Serverless"):
            pages = self._emr.get_paginator("list_applications").paginate(states=[*_USABLE, "CREATING"])
            found = [one["id"] for page in pages for one in page["applications"] if one.get("name") == name]
        return found[0] if found else None

    def make(self, wish: Wish, poll_seconds: float) -> str:
        """Make an application, and wait until it can run jobs; its id. Raises ConfigError without an image."""
        if wish.image is None:
            raise ConfigError(
                f"there is no application {wish.name} of EMR Serverless, and cloud.image is not set; EMR's own "
                "image has not the Python packages: build infra/docker/emr.Dockerfile, and set cloud.image to it"
            )
        cores, gigabytes = capacity(wish.executors)
        network = {"subnetIds": list(wish.subnets), "securityGroupIds": list(wish.security_groups)}
        with explained(f"making the application {wish.name} of EMR Serverless"):
            application: str = self._emr.create_application(
                name=wish.name,
                releaseLabel=wish.release,
                type="SPARK",
                clientToken=uuid.uuid4().hex,
                architecture="X86_64",
                imageConfiguration={"imageUri": wish.image},
                maximumCapacity={"cpu": f"{4 * cores} vCPU", "memory": f"{4 * gigabytes} GB"},
                autoStartConfiguration={"enabled": True},
                autoStopConfiguration={"enabled": True, "idleTimeoutMinutes": wish.idle_minutes},
                tags={"project": "activity"},
                **({"networkConfiguration": network} if wish.subnets else {}),
            )["applicationId"]
            while True:
                shown = self._emr.get_application(applicationId=application)["application"]
                if shown["state"] in _USABLE:
                    return application
                if shown["state"] == "TERMINATED":
                    raise ServiceUnavailableError(
                        f"the application {wish.name} could not be made: {shown.get('stateDetails', '')}"
                    )
                time.sleep(poll_seconds)

    def submit(self, application: str, job: Submission) -> str:
        """Start a job run; its id."""
        with explained(f"starting the job {job.name} on EMR Serverless"):
            started = self._emr.start_job_run(
                applicationId=application,
                clientToken=job.token,
                name=job.name,
                executionRoleArn=job.role,
                jobDriver={
                    "sparkSubmit": {"entryPoint": job.entry, "entryPointArguments": list(job.arguments)}
                },
                configurationOverrides={
                    "applicationConfiguration": [
                        {"classification": "spark-defaults", "properties": dict(job.conf)}
                    ],
                    "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": job.logs}},
                },
                executionTimeoutMinutes=job.minutes,
                tags={"project": "activity"},
                **(
                    {"mode": "STREAMING", "retryPolicy": {"maxFailedAttemptsPerHour": 5}}
                    if job.streaming
                    else {}
                ),
            )
        run: str = started["jobRunId"]
        return run

    def job(self, application: str, run: str) -> Job:
        """A job run as it is now. Raises NotFoundError."""
        with explained(f"looking for the job {run}"):
            shown = self._emr.get_job_run(applicationId=application, jobRunId=run)["jobRun"]
        billed = shown.get("billedResourceUtilization") or {}
        return Job(
            id=run,
            application=application,
            name=shown.get("name") or "",
            state=shown["state"],
            details=shown.get("stateDetails") or "",
            created_at=shown.get("createdAt"),
            seconds=shown.get("totalExecutionDurationSeconds") or 0,
            vcpu_hours=billed.get("vCPUHour", 0.0),
            gb_hours=billed.get("memoryGBHour", 0.0),
        )

    def jobs(self, application: str, most: int) -> list[Job]:
        """The last job runs, newest first."""
        found: list[tuple[datetime, Job]] = []
        try:
            with explained("listing jobs"):
                for page in self._emr.get_paginator("list_job_runs").paginate(applicationId=application):
                    for one in page["jobRuns"]:
                        job = Job(
                            id=one["id"],
                            application=application,
                            name=one.get("name") or "",
                            state=one["state"],
                            details=one.get("stateDetails") or "",
                            created_at=one["createdAt"],
                        )
                        found.append((one["createdAt"], job))
        except NotFoundError:
            return []
        return [job for _, job in sorted(found, key=lambda pair: pair[0], reverse=True)][:most]

    def cancel(self, application: str, run: str) -> None:
        """Ask for the end of a job run."""
        with explained(f"cancelling the job {run}"):
            self._emr.cancel_job_run(applicationId=application, jobRunId=run)


def check_role(arn: str) -> None:
    """Raise ConfigError where a role does not exist, or EMR Serverless may not use it.

    Who may not look at roles (iam:GetRole) is told so by EMR itself when the job starts.
    """
    name = arn.rpartition("/")[2]
    try:
        with explained(f"looking for the role {name}"):
            role = client("iam").get_role(RoleName=name)["Role"]
    except NotAllowedError:
        return
    except NotFoundError as error:
        raise ConfigError(
            f"the role {arn} of cloud.role does not exist; infra/terraform/aws makes one"
        ) from error
    trust = role["AssumeRolePolicyDocument"]
    text = trust if isinstance(trust, str) else json.dumps(trust)
    if SERVICE not in urllib.parse.unquote(text):
        raise ConfigError(
            f"the role {arn} does not trust EMR Serverless; its trust policy must allow sts:AssumeRole to {SERVICE}"
        )


def driver_log(logs: str, job: Job, stream: str) -> str:
    """The log of a job's driver, of its last attempt. stream : stdout or stderr. NotFoundError where there is none."""
    bucket = Bucket(logs)
    names = bucket.names(f"applications/{job.application}/jobs/{job.id}")
    found = [name for name in names if _DRIVER in name and name.rpartition("/")[2].startswith(stream)]
    if not found:
        raise NotFoundError(
            f"{logs} has no {stream} of the job {job.id} yet; EMR writes logs with some minutes' delay"
        )
    content = b"".join(bucket.read(max(found)))
    try:
        return gzip.decompress(content).decode("utf-8", "replace")
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return content.decode("utf-8", "replace")
