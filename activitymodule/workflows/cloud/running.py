"""Verbs as jobs in a cloud, on EMR Serverless, EMR on EC2 or Dataproc Serverless: submitted, followed, and ended."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from activitymodule.cloud.dataproc import Dataproc
from activitymodule.cloud.emr import EmrServerless
from activitymodule.cloud.emr_ec2 import EmrCluster
from activitymodule.cloud.jobs import Engine, Job, Submission
from activitymodule.errors import (
    ActivityError,
    ConfigError,
    JobFailedError,
    NotAllowedError,
    NotFoundError,
    QuotaError,
    ServiceUnavailableError,
)
from activitymodule.settings import Settings, environment_of
from activitymodule.workflows.cloud.stage import staged, staging

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
ENGINES: Mapping[str, type[EmrServerless] | type[EmrCluster] | type[Dataproc]] = {
    "emr": EmrServerless,
    "emr-ec2": EmrCluster,
    "dataproc": Dataproc,
}
"""What runs jobs, by the names of `--on`."""
TAIL = 40
"""Lines of a driver's log that are shown."""
_LOGS = "logs"
_HERE = "./activity"  # where the archive of the code is unpacked, beside driver and executors
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
    """A job to run. words : after the verb, as on the command line; on : an engine, unless given cloud.engine; hours :
    after which it is ended; token : the same one starts no second job."""

    verb: str
    words: tuple[str, ...] = ()
    on: str | None = None
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
    """A job that ended. counts : the last line of JSON in its output; log : the end of the driver's log, where there
    is one."""

    job: Job
    counts: object
    log: tuple[str, ...]


def engine(config: Settings, on: str | None = None) -> Engine:
    """An engine, unless given that of cloud.engine. Raises ConfigError where staging is in another cloud."""
    name = on or config.cloud.engine
    if name not in ENGINES:
        raise ConfigError(f"{name[:40]!r} runs no jobs; --on takes {', '.join(ENGINES)}")
    made = ENGINES[name]
    if not staging(config).startswith(made.scheme):
        raise ConfigError(
            f"cloud.staging is {staging(config)}, which {name} cannot read; set it to {made.scheme}BUCKET/PREFIX, or "
            "run jobs elsewhere by --on or cloud.engine"
        )
    return made(config.cloud, logs_of(config))


def estimate(config: Settings, request: Request) -> Estimate:
    """What a job may cost. A stream runs until it is ended: its estimate is of a day."""
    return _estimate(config, request, engine(config, request.on))


def _estimate(config: Settings, request: Request, on: Engine) -> Estimate:
    hours = 24.0 if request.verb in STREAMS else request.hours
    executors = request.executors or config.cloud.executors
    return Estimate(hours, *on.capacity(executors), on.dollars(executors, hours))


def submit(
    config: Settings,
    request: Request,
    *,
    confirm: Callable[[Estimate], bool] = lambda estimate: False,
    say: Callable[[str], None] = lambda text: None,
) -> Job:
    """Start a verb as a job; what it runs in (`cloud.application`) is made where there is none.

    confirm : asked where the job may cost more than cloud.most_dollars; a refusal is a QuotaError
    Raises ConfigError for what is not set, a role that cannot be used, or where nothing is staged.
    """
    words = _words(config, request)
    on = engine(config, request.on)
    cost = _estimate(config, request, on)
    if cost.dollars > config.cloud.most_dollars and not confirm(cost):
        raise QuotaError(
            f"the job may cost {cost.dollars:,.2f} $ in {cost.hours:g} h, more than cloud.most_dollars "
            f"({config.cloud.most_dollars:g}); give fewer --hours, or --yes"
        )
    say(f"at most {cost.dollars:,.2f} $: {cost.vcpu} vCPU and {cost.gigabytes} GB for {cost.hours:g} h")
    code = staged(config)
    on.check()
    stream = request.verb in STREAMS
    variables = _variables(config, on)
    python = {"PYSPARK_DRIVER_PYTHON": on.python} if on.python else {}
    submission = Submission(
        name=f"activity-{request.verb}",
        entry=code.entry,
        arguments=words,
        archive=code.code,
        requirements=code.requirements,
        bootstrap=code.bootstrap,
        jars=code.jars if stream else (),
        variables=variables,
        driver={**python, **config.cloud.environment},
        logs=logs_of(config),
        executors=request.executors or config.cloud.executors,
        minutes=0 if stream else max(1, round(request.hours * 60)),
        streaming=stream,
        token=request.token or uuid.uuid4().hex,
    )
    return on.submit(submission, say)


def follow(
    config: Settings, job: Job, on: str | None = None, on_state: Callable[[Job], None] = lambda job: None
) -> Ended:
    """Wait for the end of a job. on_state : told how it is after each look, every cloud.poll_seconds.

    Raises JobFailedError, with the end of the driver's log, for one that failed or was cancelled. Where it cannot be
    looked at any more (no answer, credentials that expired), the error says that it goes on.
    """
    runs_on = engine(config, on)
    while True:
        try:
            job = runs_on.job(job.id)
        except (ServiceUnavailableError, NotAllowedError) as error:
            raise _goes_on(job, error, on) from error
        on_state(job)
        if job.ended:
            break
        time.sleep(config.cloud.poll_seconds)
    if job.state != "SUCCESS":
        last = "\n".join(_lines(runs_on, job, "stderr"))
        raise JobFailedError(
            f"the job {job.id} ended as {job.state}{f' ({job.details})' if job.details else ''}; "
            f"`{command('logs', job, on)}` shows its log" + (f", which ends so:\n{last}" if last else "")
        )
    log = _lines(runs_on, job, "stdout")
    return Ended(job, _counts(log), log)


def command(verb: str, job: Job, on: str | None) -> str:
    """The command line that does something with a job."""
    return f"activity cloud {verb} {job.id}" + (f" --on {on}" if on else "")


def _goes_on(job: Job, error: ActivityError, on: str | None) -> ActivityError:
    return type(error)(
        f"{error} (the job {job.id} goes on, last seen as {job.state}: `activity cloud list` shows it, and "
        f"`{command('stop', job, on)}` ends it)"
    )


def engines_of(config: Settings) -> dict[str, Engine]:
    """The engines that can read what is staged, by name."""
    names = [name for name, made in ENGINES.items() if staging(config).startswith(made.scheme)]
    return {name: engine(config, name) for name in names}


def jobs(config: Settings, most: int, on: str | None = None) -> list[Job]:
    """The last jobs of an engine, newest first."""
    return engine(config, on).jobs(most)


def log(config: Settings, run: str, stream: str, on: str | None = None) -> str:
    """The log of a job's driver. stream : stdout or stderr."""
    if stream not in ("stdout", "stderr"):
        raise ConfigError(f"--stream must be stdout or stderr (given: {stream[:40]!r})")
    runs_on = engine(config, on)
    return runs_on.log(runs_on.job(run), stream)


def stop(config: Settings, run: str, on: str | None = None) -> Job:
    """Ask for the end of a job; the job as it is then. One that has ended stays as it is."""
    runs_on = engine(config, on)
    job = runs_on.job(run)
    if job.ended:
        return job
    runs_on.cancel(job)
    return runs_on.job(run)


def logs_of(config: Settings) -> str:
    """Where logs of jobs go."""
    return f"{staging(config).rstrip('/')}/{_LOGS}/"


def _words(config: Settings, request: Request) -> tuple[str, ...]:
    """The command line of a job, without `activity`."""
    if request.verb not in VERBS:
        raise ConfigError(f"{request.verb[:40]!r} is no job; there are {', '.join(VERBS)}")
    if request.token is not None and not _TOKEN.fullmatch(request.token):
        raise ConfigError("--token must be 1 to 64 letters, digits and . _ -")
    words = request.words
    if request.verb == "preprocess":
        raw = f"{staging(config).rstrip('/')}/raw"
        words = words or ("casas", f"{raw}/casas")
        words = words if "--json" in words else (*words, "--json")
    return (*VERBS[request.verb], *words)


def _variables(config: Settings, on: Engine) -> dict[str, str]:
    """Variables of driver and executors: where the code is, and the settings that differ from their defaults."""
    defaults = environment_of(Settings())
    variables = {
        name: value
        for name, value in environment_of(config).items()
        if defaults.get(name) != value
        and not name.removeprefix("ACTIVITY_").startswith(_OWN)
        and not name.endswith(_SECRET)
    }
    variables |= {"ACTIVITY_HOME": _HERE, "PYTHONPATH": _HERE}
    if on.python:
        variables["PYSPARK_PYTHON"] = on.python
    if on.region:
        # kafka-python and pyarrow ask this variable for the region, and no other
        variables["AWS_DEFAULT_REGION"] = on.region
    return variables


def _lines(on: Engine, job: Job, stream: str) -> tuple[str, ...]:
    """The end of a driver's log; nothing where there is none yet."""
    try:
        return tuple(on.log(job, stream).splitlines()[-TAIL:])
    except NotFoundError:
        return ()


def _counts(log: tuple[str, ...]) -> object:
    """The last line that is an object of JSON: some engines write the log of Spark into the same file."""
    for line in reversed(log):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                continue
    return None
