"""EMR Serverless: the application, its job runs, and the logs of their drivers."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from datetime import datetime

from botocore.client import BaseClient

from activitymodule.cloud.aws import client, explained
from activitymodule.cloud.jobs import CORES, GIGABYTES, TAGS, Job, Leftover, Submission, environment, sizes
from activitymodule.cloud.roles import check_role
from activitymodule.cloud.s3 import check_region, read_log
from activitymodule.errors import ConfigError, NotFoundError, ServiceUnavailableError
from activitymodule.settings import Cloud

SERVICE = "emr-serverless.amazonaws.com"
_MEMORY = GIGABYTES * 7 // 8  # EMR adds a tenth for Python, at least 384 MB
_USABLE = ("CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED")
_THERE = ("CREATING", *_USABLE)
_STOPPED = ("CREATED", "STOPPED")
_JOB = re.compile(r"[0-9A-Za-z]{1,64}")


class EmrServerless:
    """EMR Serverless of the account and region that boto3 finds."""

    python = "/usr/bin/python3.11"  # of infra/docker/emr.Dockerfile
    scheme = "s3://"

    def __init__(self, cloud: Cloud, logs: str) -> None:
        self._cloud, self._logs = cloud, logs
        self._emr: BaseClient = client("emr-serverless")
        self.region: str = self._emr.meta.region_name

    def capacity(self, executors: int) -> tuple[int, int]:
        """A driver and so many executors."""
        return CORES * (executors + 1), GIGABYTES * (executors + 1)

    def dollars(self, executors: int, hours: float) -> float:
        """By vCPU and memory."""
        cores, gigabytes = self.capacity(executors)
        return self._price(cores * hours, gigabytes * hours)

    def _price(self, vcpu_hours: float, gb_hours: float) -> float:
        cloud = self._cloud
        return vcpu_hours * cloud.dollars_per_vcpu_hour + gb_hours * cloud.dollars_per_gb_hour

    def check(self) -> None:
        """The role, and where an application is to be made, its image."""
        if self._cloud.role is None:
            raise ConfigError(
                "cloud.role is not set; set it to the ARN of the role that jobs run as (terraform output spark has it)"
            )
        check_role(self._cloud.role, "cloud.role", SERVICE, "infra/terraform/aws makes one")
        check_region(self._logs, self.region)
        if self._cloud.image is None and self._application() is None:
            raise ConfigError(
                f"there is no application {self._cloud.application} of EMR Serverless, and cloud.image is not set; "
                "EMR's own image has not the Python packages: build infra/docker/emr.Dockerfile, and set it to that"
            )

    def _application(self) -> str | None:
        """The id of the application of the settings; None where there is none that can run jobs."""
        with explained("looking for applications of EMR Serverless"):
            pages = self._emr.get_paginator("list_applications").paginate(states=list(_THERE))
            found = [
                one["id"]
                for page in pages
                for one in page["applications"]
                if one.get("name") == self._cloud.application
            ]
        return found[0] if found else None

    def _make(self, executors: int) -> str:
        cloud = self._cloud
        cores, gigabytes = self.capacity(executors)
        network = {"subnetIds": list(cloud.subnets), "securityGroupIds": list(cloud.security_groups)}
        with explained(f"making the application {cloud.application} of EMR Serverless"):
            application: str = self._emr.create_application(
                name=cloud.application,
                releaseLabel=cloud.release,
                type="SPARK",
                clientToken=uuid.uuid4().hex,
                architecture="X86_64",
                imageConfiguration={"imageUri": cloud.image},
                maximumCapacity={"cpu": f"{4 * cores} vCPU", "memory": f"{4 * gigabytes} GB"},
                autoStartConfiguration={"enabled": True},
                autoStopConfiguration={"enabled": True, "idleTimeoutMinutes": cloud.idle_minutes},
                tags=TAGS,
                **({"networkConfiguration": network} if cloud.subnets else {}),
            )["applicationId"]
        return application

    def _wait(self, application: str, states: tuple[str, ...]) -> None:
        """Wait until an application is in one of these states."""
        with explained(f"looking for the application {application} of EMR Serverless"):
            while True:
                shown = self._emr.get_application(applicationId=application)["application"]
                if shown["state"] in states:
                    return
                if shown["state"] == "TERMINATED":
                    raise ServiceUnavailableError(
                        f"the application {self._cloud.application} could not be made: {shown.get('stateDetails', '')}"
                    )
                time.sleep(self._cloud.poll_seconds)

    def submit(self, job: Submission, say: Callable[[str], None]) -> Job:
        """Start a job run; EMR takes the token."""
        application = self._application()
        if application is None:
            say(f"making the application {self._cloud.application}")
            application = self._make(self._cloud.executors)
        self._wait(application, _USABLE)
        conf = {
            **sizes(job.executors, _MEMORY),
            **environment(job, "spark.emr-serverless.driverEnv."),
            "spark.archives": f"{job.archive}#activity",
            **({"spark.jars": ",".join(job.jars)} if job.jars else {}),
        }
        again = {"mode": "STREAMING", "retryPolicy": {"maxFailedAttemptsPerHour": 5}}
        with explained(f"starting the job {job.name} on EMR Serverless"):
            started = self._emr.start_job_run(
                applicationId=application,
                clientToken=job.token,
                name=job.name,
                executionRoleArn=self._cloud.role,
                jobDriver={
                    "sparkSubmit": {"entryPoint": job.entry, "entryPointArguments": list(job.arguments)}
                },
                configurationOverrides={
                    "applicationConfiguration": [{"classification": "spark-defaults", "properties": conf}],
                    "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": job.logs}},
                },
                executionTimeoutMinutes=job.minutes and max(5, job.minutes),  # EMR's least is 5
                tags=TAGS,
                **(again if job.streaming else {}),
            )
        return self._read(application, started["jobRunId"])

    def job(self, run: str) -> Job:
        """A job run of the application."""
        return self._read(self._of(run), run)

    def _of(self, run: str) -> str:
        """The application that a job run is looked for in."""
        if not _JOB.fullmatch(run):
            raise ConfigError(f"{run[:64]!r} is no id of a job; `activity cloud list` shows them")
        application = self._application()
        if application is None:
            raise NotFoundError(f"there is no application {self._cloud.application} of EMR Serverless")
        return application

    def _read(self, application: str, run: str) -> Job:
        with explained(f"looking for the job {run}"):
            shown = self._emr.get_job_run(applicationId=application, jobRunId=run)["jobRun"]
        billed = shown.get("billedResourceUtilization") or {}
        return Job(
            id=run,
            place=application,
            name=shown.get("name") or "",
            state=shown["state"],
            details=shown.get("stateDetails") or "",
            created_at=shown.get("createdAt"),
            seconds=shown.get("totalExecutionDurationSeconds") or 0,
            dollars=self._price(billed.get("vCPUHour", 0.0), billed.get("memoryGBHour", 0.0)),
        )

    def jobs(self, most: int) -> list[Job]:
        """The last job runs of the application."""
        application = self._application()
        return [] if application is None else self._runs(application)[:most]

    def _runs(self, application: str) -> list[Job]:
        found: list[tuple[datetime, Job]] = []
        try:
            with explained("listing jobs"):
                for page in self._emr.get_paginator("list_job_runs").paginate(applicationId=application):
                    for one in page["jobRuns"]:
                        job = Job(
                            id=one["id"],
                            place=application,
                            name=one.get("name") or "",
                            state=one["state"],
                            details=one.get("stateDetails") or "",
                            created_at=one["createdAt"],
                        )
                        found.append((one["createdAt"], job))
        except NotFoundError:
            return []
        return [job for _, job in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def cancel(self, job: Job) -> None:
        """Ask for the end of a job run."""
        with explained(f"cancelling the job {job.id}"):
            self._emr.cancel_job_run(applicationId=job.place, jobRunId=job.id)

    def log(self, job: Job, stream: str) -> str:
        """The log of the driver's last attempt."""
        return read_log(
            self._logs, f"applications/{job.place}/jobs/{job.id}", f"SPARK_DRIVER/{stream}", job.id
        )

    def inputs(self, job: Job) -> str:
        """What EMR shows of a job run."""
        with explained(f"looking for the job {job.id}"):
            shown = self._emr.get_job_run(applicationId=job.place, jobRunId=job.id)["jobRun"]
        return json.dumps(shown, default=str)

    def leftovers(self) -> list[Leftover]:
        """The application, where it was made here."""
        application = self._application()
        if application is None:
            return []
        with explained(f"looking for the application {application} of EMR Serverless"):
            shown = self._emr.get_application(applicationId=application)["application"]
        keep = ""
        if (shown.get("tags") or {}).get("managed-by") != TAGS["managed-by"]:
            keep = "it was not made by `activity cloud run`"
        elif running := [job.id for job in self._runs(application) if not job.ended]:
            keep = f"its job {running[0]} runs"
        return [Leftover("application", application, f"{shown.get('name')}, {shown['state']}", keep)]

    def remove(self, leftover: Leftover) -> None:
        """Stop an application, which EMR asks for, and delete it."""
        application = leftover.name
        try:
            with explained(f"deleting the application {application} of EMR Serverless"):
                state = self._emr.get_application(applicationId=application)["application"]["state"]
                if state == "TERMINATED":
                    return
                if state not in _STOPPED:
                    self._emr.stop_application(applicationId=application)
                    self._wait(application, _STOPPED)
                self._emr.delete_application(applicationId=application)
        except NotFoundError:
            return
