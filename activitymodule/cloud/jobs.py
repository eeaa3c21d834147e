"""What the engines of the clouds have in common: jobs, what they are started with, and what is left of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

TAGS = {"project": "activity", "managed-by": "activity-cloud"}
"""Of all that is made here. What Terraform makes has another managed-by, and is never removed."""
ENDED = ("SUCCESS", "FAILED", "CANCELLED")
CORES, GIGABYTES = 4, 16  # of the driver, and of each executor


@dataclass(frozen=True)
class Job:
    """A job. place : the application, cluster or region it runs in; seconds : that it ran; dollars : that it cost so
    far at the prices of `cloud`, as far as that is known."""

    id: str
    place: str
    name: str
    state: str
    details: str = ""
    created_at: datetime | None = None
    seconds: int = 0
    dollars: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED


@dataclass(frozen=True)
class Submission:
    """A job to start.

    entry : address of the script; arguments : of it
    archive : the code, unpacked as the folder `activity` beside driver and executors
    requirements, bootstrap : of the nodes of a cluster: the Python packages, and the script that installs them
    variables : of driver and executors; driver : of the driver alone, which hide those
    logs : where logs go; minutes : after which it is ended, 0: never; streaming : it runs until it is ended
    token : the same one starts no second job
    """

    name: str
    entry: str
    arguments: tuple[str, ...]
    archive: str
    requirements: str
    bootstrap: str
    jars: tuple[str, ...]
    variables: Mapping[str, str]
    driver: Mapping[str, str]
    logs: str
    executors: int
    minutes: int
    streaming: bool
    token: str


@dataclass(frozen=True)
class Leftover:
    """Something made here that is no longer needed. keep : why it stays all the same, "" where it can be removed."""

    kind: str
    name: str
    details: str = ""
    keep: str = ""


class Engine(Protocol):
    """A service that runs Spark. Every method raises what `aws.explained` or `google.Google.call` raise."""

    python: str
    """The interpreter of driver and executors, "" for the image's own."""
    region: str
    """Of AWS, "" elsewhere."""
    scheme: str
    """Of the addresses that its jobs begin from."""

    def dollars(self, executors: int, hours: float) -> float:
        """What a job of so many executors costs at the prices of `cloud`."""

    def capacity(self, executors: int) -> tuple[int, int]:
        """(vCPU, GB of memory) of a job."""

    def check(self) -> None:
        """Raise ConfigError for what is not set, does not exist or cannot be used: before anything is made."""

    def submit(self, job: Submission, say: Callable[[str], None]) -> Job:
        """Start a job, and make what it runs in where there is none."""

    def job(self, run: str) -> Job:
        """A job as it is now. Raises ConfigError for what is no id of a job, NotFoundError."""

    def jobs(self, most: int) -> list[Job]:
        """The last jobs, newest first."""

    def cancel(self, job: Job) -> None:
        """Ask for the end of a job."""

    def log(self, job: Job, stream: str) -> str:
        """The log of a job's driver. stream : stdout or stderr. Raises NotFoundError where there is none yet."""

    def inputs(self, job: Job) -> str:
        """A text in which each address that a job was started with stands."""

    def leftovers(self) -> list[Leftover]:
        """What was made here, and whether it is in use."""

    def remove(self, leftover: Leftover) -> None:
        """Remove one of them; one that is gone is no error."""


def sizes(executors: int, memory: int) -> dict[str, str]:
    """Spark's configuration of sizes. memory : GB of a heap."""
    return {
        "spark.driver.cores": str(CORES),
        "spark.driver.memory": f"{memory}g",
        "spark.executor.cores": str(CORES),
        "spark.executor.memory": f"{memory}g",
        "spark.executor.instances": str(executors),
        "spark.dynamicAllocation.enabled": "false",
    }


def environment(job: Submission, driver: str = "") -> dict[str, str]:
    """Spark's configuration of variables. driver : how the properties begin that set those of the driver, "" where its
    process is given them."""
    conf = {f"spark.executorEnv.{name}": value for name, value in job.variables.items()}
    if driver:
        conf |= {f"{driver}{name}": value for name, value in {**job.variables, **job.driver}.items()}
    return conf
