"""Dataproc Serverless: batches, whose fields are those of `google.cloud.dataproc.v1.Batch`, and their output."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import ConfigDict, Field

from activitymodule.cloud.google import Answer, Google
from activitymodule.cloud.jobs import CORES, GIGABYTES, TAGS, Job, Leftover, Submission, environment, sizes
from activitymodule.cloud.targets import target_at
from activitymodule.errors import AlreadyThereError, ConfigError, NotFoundError
from activitymodule.settings import Cloud

_MEMORY = 11  # Dataproc adds two fifths for Python
_LEAST_EXECUTORS = 2
_LEAST_SECONDS, _MOST_SECONDS = 600, 14 * 24 * 3600
_STATES = {"SUCCEEDED": "SUCCESS", "STATE_UNSPECIFIED": "PENDING"}
_JOB = re.compile(r"[a-z0-9][a-z0-9-]{2,61}[a-z0-9]")
_UNITS_PER_VCPU, _UNITS_PER_GB = 0.6, 0.1  # of Data Compute Units
_PAGE = 100


class _Usage(Answer):
    milli_dcu_seconds: int = 0


class _Runtime(Answer):
    output_uri: str = ""
    approximate_usage: _Usage = _Usage()


class _Batch(Answer):
    name: str
    create_time: datetime | None = None
    state: str = "PENDING"
    state_message: str = ""
    state_time: datetime | None = None
    runtime_info: _Runtime = _Runtime()
    operation: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class _Batches(Answer):
    batches: tuple[_Batch, ...] = ()
    next_page_token: str = ""


class _Text(Answer):
    """An answer as it is."""

    model_config = ConfigDict(extra="allow")


class Dataproc:
    """Dataproc Serverless of a project and region."""

    python = ""
    region = ""
    scheme = "gs://"

    def __init__(self, cloud: Cloud, logs: str) -> None:
        self._cloud = cloud
        self._bucket = logs.removeprefix(self.scheme).partition("/")[0]
        if cloud.region is None:
            raise ConfigError(
                "cloud.region is not set; set it to the region of Google Cloud that jobs run in"
            )
        self._google = Google(cloud.dataproc_address or f"https://{cloud.region}-dataproc.googleapis.com")
        project = cloud.project or self._google.project
        if project is None:
            raise ConfigError(
                "cloud.project is not set, and the credentials name no project of Google Cloud; set it"
            )
        self._place = f"v1/projects/{project}/locations/{cloud.region}/batches"

    def capacity(self, executors: int) -> tuple[int, int]:
        """A driver and so many executors, at least two."""
        count = max(_LEAST_EXECUTORS, executors) + 1
        return CORES * count, GIGABYTES * count

    def dollars(self, executors: int, hours: float) -> float:
        """By Data Compute Units."""
        cores, gigabytes = self.capacity(executors)
        return (
            (_UNITS_PER_VCPU * cores + _UNITS_PER_GB * gigabytes) * hours * self._cloud.dollars_per_dcu_hour
        )

    def check(self) -> None:
        """The image. Whether the account may use the service account, Dataproc tells when a batch is made."""
        if self._cloud.image is None:
            raise ConfigError(
                "cloud.image is not set; Dataproc's own image has not the Python packages: build "
                "infra/docker/Dockerfile with --target cloud-spark, and set cloud.image to it"
            )

    def submit(self, job: Submission, say: Callable[[str], None]) -> Job:  # noqa: ARG002 (nothing is made for a batch)
        """Make a batch, whose id comes from the token; where it is there, that one."""
        cloud = self._cloud
        batch = f"{job.name}-{hashlib.sha256(job.token.encode()).hexdigest()[:16]}"
        seconds = min(_MOST_SECONDS, max(_LEAST_SECONDS, 60 * job.minutes)) if job.minutes else _MOST_SECONDS
        execution = {
            "stagingBucket": self._bucket,
            "ttl": f"{seconds}s",
            # of runtime 3.0 on, a batch would run as who submits it
            "authenticationConfig": {"userWorkloadAuthenticationType": "SERVICE_ACCOUNT"},
            **({"serviceAccount": cloud.role} if cloud.role else {}),
            **({"subnetworkUri": cloud.subnets[0]} if cloud.subnets else {}),
        }
        body = {
            "pysparkBatch": {
                "mainPythonFileUri": job.entry,
                "args": list(job.arguments),
                "archiveUris": [f"{job.archive}#activity"],
                "jarFileUris": list(job.jars),
            },
            "runtimeConfig": {
                "version": cloud.runtime,
                "containerImage": cloud.image,
                "properties": {
                    **sizes(max(_LEAST_EXECUTORS, job.executors), _MEMORY),
                    **environment(job, "spark.dataproc.driverEnv."),
                },
            },
            "environmentConfig": {"executionConfig": execution},
            "labels": {**TAGS, "name": job.name},
        }
        with contextlib.suppress(AlreadyThereError):  # by an earlier run with this token
            self._google.call(
                Answer, f"starting the job {batch} on Dataproc", "POST", self._place, body=body, batchId=batch
            )
        return self.job(batch)

    def job(self, run: str) -> Job:
        """A batch."""
        return self._job(self._batch(run))

    def _batch(self, run: str) -> _Batch:
        if not _JOB.fullmatch(run):
            raise ConfigError(f"{run[:64]!r} is no id of a job; `activity cloud list` shows them")
        return self._google.call(_Batch, f"looking for the job {run}", "GET", f"{self._place}/{run}")

    def _job(self, batch: _Batch) -> Job:
        state = _STATES.get(batch.state, batch.state)
        job = Job(
            id=batch.name.rpartition("/")[2],
            place=batch.name.split("/")[3],
            name=batch.labels.get("name", ""),
            state=state,
            details=batch.state_message,
            created_at=batch.create_time,
            dollars=batch.runtime_info.approximate_usage.milli_dcu_seconds
            / 3_600_000
            * self._cloud.dollars_per_dcu_hour,
        )
        if batch.create_time is None or (job.ended and batch.state_time is None):
            return job
        until = batch.state_time if job.ended and batch.state_time else datetime.now(UTC)
        return replace(job, seconds=round((until - batch.create_time).total_seconds()))

    def _batches(self, most: int) -> list[_Batch]:
        """The last batches that were made here."""
        found: list[_Batch] = []
        token: str | None = None
        while token != "" and len(found) < most:
            page = self._google.call(
                _Batches,
                "listing jobs",
                "GET",
                self._place,
                pageSize=_PAGE,
                pageToken=token,
                orderBy="create_time desc",
            )
            found += [one for one in page.batches if TAGS.items() <= one.labels.items()]
            token = page.next_page_token
        return found[:most]

    def jobs(self, most: int) -> list[Job]:
        """The last batches that were made here."""
        return [self._job(one) for one in self._batches(most)]

    def cancel(self, job: Job) -> None:
        """Cancel the operation that runs a batch."""
        operation = self._batch(job.id).operation
        self._google.call(Answer, f"cancelling the job {job.id}", "POST", f"v1/{operation}:cancel", body={})

    def log(self, job: Job, stream: str) -> str:  # noqa: ARG002 (Dataproc writes both streams to one file)
        """What the driver wrote, of both streams."""
        place = self._batch(job.id).runtime_info.output_uri
        folder, _, start = place.rpartition("/")
        output = target_at(folder) if folder else None
        names = [name for name in output.names("") if name.startswith(start)] if output else []
        if output is None or not names:
            raise NotFoundError(f"the job {job.id} has no output yet")
        return b"".join(block for name in sorted(names) for block in output.read(name)).decode(
            "utf-8", "replace"
        )

    def inputs(self, job: Job) -> str:
        """What Dataproc shows of a batch."""
        shown = self._google.call(_Text, f"looking for the job {job.id}", "GET", f"{self._place}/{job.id}")
        return shown.model_dump_json()

    def leftovers(self) -> list[Leftover]:
        """The batches that ended: their records, as a batch keeps nothing else."""
        return [
            Leftover("batch", job.id, job.state, "" if job.ended else "it runs") for job in self.jobs(10_000)
        ]

    def remove(self, leftover: Leftover) -> None:
        """Delete the record of a batch."""
        try:
            self._google.call(
                Answer, f"deleting the job {leftover.name}", "DELETE", f"{self._place}/{leftover.name}"
            )
        except NotFoundError:
            return
