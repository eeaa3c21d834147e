"""Verbs as jobs of EMR Serverless: submitted, followed, and ended."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from activitymodule.cloud.emr import Emr, Job, Submission, Wish, capacity, check_role, driver_log, sizes
from activitymodule.errors import ConfigError, JobFailedError, NotFoundError, QuotaError
from activitymodule.settings import Settings, environment_of
from activitymodule.workflows.cloud.stage import Staged, staged, staging

VERBS = {
    "preprocess": ("prepare",),
    "train": ("train",),
    "days": ("days", "build"),
    "history": ("history", "generate"),
    "score": ("score",),
    "generate": ("generate",),
}
"""What is run by which words of the command line."""
STREAMS = ("score", "generate")
PLACES = ("emr",)
TAIL = 40
"""Lines of a driver's log that are shown."""
_LOGS = "logs"
_HERE = "./activity"  # where the archive of the code is unpacked, beside driver and executors
_PYTHON = "/usr/bin/python3.11"  # of infra/docker/emr.Dockerfile
_JOB = re.compile(r"[0-9A-Za-z-]{1,64}")
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
# what concerns the machine of who submits alone
_OWN = (
    "LOCAL__",
    "FETCH__",
    "CLOUD__",
    "AIRFLOW__",
    "CONSOLE__",
    "OIDC__",
    "HOME",
    "SPARK__MASTER",
    "SPARK__JARS",
)
_SECRET = ("PASSWORD", "SECRET")


@dataclass(frozen=True)
class Request:
    """A job to run. words : after the verb, as on the command line; hours : after which it is ended; token : the same
    one starts no second job."""

    verb: str
    words: tuple[str, ...] = ()
    on: str = "emr"
    hours: float = 4.0
    executors: int | None = None
    token: str | None = None


@dataclass(frozen=True)
class Estimate:
    """What a job may cost at the most, at the prices of `cloud`. hours : that it may take."""

    hours: float
    vcpu: int
    gigabytes: int
    dollars: float


@dataclass(frozen=True)
class Ended:
    """A job that ended. dollars : of what was billed so far; counts : the last line of its output, where it is JSON;
    log : the end of the driver's log, where there is one."""

    job: Job
    dollars: float
    counts: object
    log: tuple[str, ...]


def estimate(config: Settings, request: Request) -> Estimate:
    """What a job may cost. A stream runs until it is ended: its estimate is of a day."""
    hours = 24.0 if request.verb in STREAMS else request.hours
    vcpu, gigabytes = capacity(request.executors or config.cloud.executors)
    return Estimate(hours, vcpu, gigabytes, _dollars(config, vcpu * hours, gigabytes * hours))


def submit(
    config: Settings,
    request: Request,
    *,
    confirm: Callable[[Estimate], bool] = lambda estimate: False,
    say: Callable[[str], None] = lambda text: None,
) -> Job:
    """Start a verb as a job, in the application `cloud.application`, which is made where there is none.

    confirm : asked where the job may cost more than cloud.most_dollars; a refusal is a QuotaError
    Raises ConfigError for what is not set, a role that cannot be used, or where nothing is staged.
    """
    words = _words(config, request)
    if config.cloud.role is None:
        raise ConfigError(
            "cloud.role is not set; set it to the ARN of the role that jobs run as (terraform output spark has it)"
        )
    cost = estimate(config, request)
    if cost.dollars > config.cloud.most_dollars and not confirm(cost):
        raise QuotaError(
            f"the job may cost {cost.dollars:,.2f} $ in {cost.hours:g} h, more than cloud.most_dollars "
            f"({config.cloud.most_dollars:g}); give fewer --hours, or --yes"
        )
    code = staged(config)
    check_role(config.cloud.role)
    emr = Emr()
    application = emr.application(config.cloud.application)
    if application is None:
        say(f"making the application {config.cloud.application}")
        application = emr.make(_wish(config), config.cloud.poll_seconds)
    stream = request.verb in STREAMS
    submission = Submission(
        name=f"activity-{request.verb}",
        role=config.cloud.role,
        entry=code.entry,
        arguments=words,
        conf=_conf(config, code, request, emr.region),
        logs=logs_of(config),
        minutes=0 if stream else max(5, round(request.hours * 60)),  # EMR's least is 5
        streaming=stream,
        token=request.token or uuid.uuid4().hex,
    )
    return emr.job(application, emr.submit(application, submission))


def follow(config: Settings, job: Job, on_state: Callable[[Job], None] = lambda job: None) -> Ended:
    """Wait for the end of a job. on_state : told how it is after each look, every cloud.poll_seconds.

    Raises JobFailedError, with the end of the driver's log, for one that failed or was cancelled.
    """
    emr = Emr()
    while True:
        job = emr.job(job.application, job.id)
        on_state(job)
        if job.ended:
            break
        time.sleep(config.cloud.poll_seconds)
    if job.state != "SUCCESS":
        last = "\n".join(_lines(config, job, "stderr"))
        raise JobFailedError(
            f"the job {job.id} ended as {job.state}{f' ({job.details})' if job.details else ''}; "
            f"`activity cloud logs {job.id}` shows its log" + (f", which ends so:\n{last}" if last else "")
        )
    log = _lines(config, job, "stdout")
    return Ended(job, _dollars(config, job.vcpu_hours, job.gb_hours), _counts(log), log)


def jobs(config: Settings, most: int) -> list[Job]:
    """The last jobs of the application, newest first."""
    emr = Emr()
    application = emr.application(config.cloud.application)
    return [] if application is None else emr.jobs(application, most)


def log(config: Settings, run: str, stream: str) -> str:
    """The log of a job's driver. stream : stdout or stderr."""
    if stream not in ("stdout", "stderr"):
        raise ConfigError(f"--stream must be stdout or stderr (given: {stream[:40]!r})")
    return driver_log(logs_of(config), _job(config, run), stream)


def stop(config: Settings, run: str) -> Job:
    """Ask for the end of a job; the job as it is then. One that has ended stays as it is."""
    job = _job(config, run)
    emr = Emr()
    if not job.ended:
        emr.cancel(job.application, job.id)
    return emr.job(job.application, job.id)


def logs_of(config: Settings) -> str:
    """Where logs of jobs go."""
    return f"{staging(config).rstrip('/')}/{_LOGS}/"


def _job(config: Settings, run: str) -> Job:
    if not _JOB.fullmatch(run):
        raise ConfigError(f"{run[:64]!r} is no id of a job; `activity cloud list` shows them")
    emr = Emr()
    application = emr.application(config.cloud.application)
    if application is None:
        raise NotFoundError(f"there is no application {config.cloud.application} of EMR Serverless")
    return emr.job(application, run)


def _words(config: Settings, request: Request) -> tuple[str, ...]:
    """The command line of a job, without `activity`."""
    if request.verb not in VERBS:
        raise ConfigError(f"{request.verb[:40]!r} is no job; there are {', '.join(VERBS)}")
    if request.on not in PLACES:
        raise ConfigError(f"{request.on[:40]!r} is no place for jobs; there is {', '.join(PLACES)}")
    if request.token is not None and not _TOKEN.fullmatch(request.token):
        raise ConfigError("--token must be 1 to 64 letters, digits and . _ -")
    words = request.words
    if request.verb == "preprocess":
        raw = f"{staging(config).rstrip('/')}/raw"
        words = words or ("casas", f"{raw}/casas")
        words = words if "--json" in words else (*words, "--json")
    return (*VERBS[request.verb], *words)


def _wish(config: Settings) -> Wish:
    cloud = config.cloud
    return Wish(
        cloud.application,
        cloud.release,
        cloud.image,
        cloud.subnets,
        cloud.security_groups,
        cloud.idle_minutes,
        cloud.executors,
    )


def _conf(config: Settings, code: Staged, request: Request, region: str) -> dict[str, str]:
    """Spark's configuration of a job: sizes, the code, and the settings that differ from their defaults."""
    defaults = environment_of(Settings())
    variables = {
        name: value
        for name, value in environment_of(config).items()
        if defaults.get(name) != value
        and not name.removeprefix("ACTIVITY_").startswith(_OWN)
        and not name.endswith(_SECRET)
    }
    # kafka-python and pyarrow ask this variable for the region, and no other
    variables |= {"AWS_DEFAULT_REGION": region}
    variables |= {"ACTIVITY_HOME": _HERE, "PYTHONPATH": _HERE, "PYSPARK_PYTHON": _PYTHON}
    driver = {**variables, "PYSPARK_DRIVER_PYTHON": _PYTHON, **config.cloud.environment}
    conf = {**sizes(request.executors or config.cloud.executors), "spark.archives": f"{code.code}#activity"}
    if request.verb in STREAMS:
        conf["spark.jars"] = ",".join(code.jars)
    conf |= {f"spark.emr-serverless.driverEnv.{name}": value for name, value in driver.items()}
    return conf | {f"spark.executorEnv.{name}": value for name, value in variables.items()}


def _dollars(config: Settings, vcpu_hours: float, gb_hours: float) -> float:
    cloud = config.cloud
    return vcpu_hours * cloud.dollars_per_vcpu_hour + gb_hours * cloud.dollars_per_gb_hour


def _lines(config: Settings, job: Job, stream: str) -> tuple[str, ...]:
    """The end of a driver's log; nothing where there is none yet."""
    try:
        return tuple(driver_log(logs_of(config), job, stream).splitlines()[-TAIL:])
    except NotFoundError:
        return ()


def _counts(log: tuple[str, ...]) -> object:
    try:
        return json.loads(log[-1]) if log else None
    except ValueError:
        return None
