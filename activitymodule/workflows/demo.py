"""The demo: the whole system on this machine, from a synthesised fleet to predictions in PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from activitymodule.embedded.stack import Stack
from activitymodule.errors import ActivityError, DataError, ServiceUnavailableError
from activitymodule.lake.exports import exports_folder, read_export
from activitymodule.serving.record import serving
from activitymodule.settings import Settings, resolve
from activitymodule.store.connection import session
from activitymodule.store.evaluation import Totals, totals_since
from activitymodule.store.users import add_user, list_users, new_password
from activitymodule.workflows.background import Job, command, running
from activitymodule.workflows.evaluation import evaluate

Say = Callable[[str], None]
Headline = Callable[[str, str], None]
"""Called with the number of a step (`2/6`) and its title."""

_LEAST_COVERAGE = 0.9
_DAYS_AFTER, _DAYS_EVERY = 120.0, 600.0
"""Seconds from the first predictions to the first daily records, and from then on: the archive has readings by then."""


@dataclass(frozen=True)
class Summary(Totals):
    """What the demo wrote, and how much of it agrees with the truth topic (None: nothing could be compared)."""

    compared: int = 0
    agreement: float | None = None
    smoothed_agreement: float | None = None


@dataclass(frozen=True)
class Demo:
    """What to run. seconds : of live view, None: until Ctrl-C; devices : 0: fleet.devices; keep : leave the
    stack running at the end; days : daily records of the fleet's people and a report on them"""

    seconds: float | None = None
    devices: int = 0
    keep: bool = False
    console: bool = True
    airflow: bool = True
    days: bool = True


def run(demo: Demo, config: Settings, *, say: Say, headline: Headline) -> Summary:
    """Start everything, train where there is no champion, show the live view, and sum up.

    Raises ServiceUnavailableError or ActivityError where a part does not start or ends on its own.
    """
    stack = Stack(config)
    before = stack.wanted()
    try:
        headline("1/6", "the embedded stack: PostgreSQL, Kafka, MLflow")
        stack.up(say=say)
        headline("2/6", "a champion to score with")
        _train_where_needed(config, say)
        count = demo.devices or config.fleet.devices
        headline("3/6", f"{count} watches in real time, and the streaming job")
        begin = time.time()
        logs = resolve(config.local.folder) / "logs"
        with (
            running(["score"], logs / "demo-score.log") as scorer,
            running(["generate", "--devices", str(count)], logs / "demo-generate.log") as fleet,
            _console(config, logs / "demo-console.log", say, headline) if demo.console else nullcontext(),
            ExitStack() as later,
        ):
            if demo.airflow:
                headline("5/6", "Airflow, for retraining")
                say(f"it starts after the first predictions and is then at {config.airflow.uri}")
                say(f"user {config.airflow.user}, password in .env; `activity status` shows whether it runs")

            def when_scored() -> None:
                # not before: on two cores its start would hold back the first predictions
                if demo.airflow:
                    later.enter_context(running(["airflow", "up"], logs / "demo-airflow.log"))
                if demo.days and _reports_are_ours(config):
                    later.enter_context(_days(logs))

            headline("6/6", f"live predictions (Ctrl-C ends the demo; the logs of the jobs are in {logs})")
            if demo.days:
                say(
                    "two minutes after the first ones, and every ten minutes, the console's page Days is made anew"
                )
            _view(demo.seconds, (scorer, fleet), lambda: _scored(config, begin), when_scored)
        return _summary(config, begin)
    except KeyboardInterrupt:
        say("ending")
        raise
    finally:
        if not demo.keep:
            stack.restore(before, say)


def _train_where_needed(config: Settings, say: Say) -> None:
    names = {"activity": config.registry.classifier, "energy": config.registry.regressor}
    missing = [kind for kind, name in names.items() if serving(config, name) is None]
    if not missing:
        say("there is one already")
        return
    say("training one on people synthesised from the reference statistics (about a minute)")
    kind = "both" if len(missing) == 2 else missing[0]
    # in a process of its own, so that its memory is free again
    ended = subprocess.run(command(["train", kind, "--data", "synthetic", "--if-missing"]), check=False)
    if ended.returncode:
        raise ActivityError("training failed; see above")


@contextmanager
def _console(config: Settings, log: Path, say: Say, headline: Headline) -> Iterator[None]:
    """The web console, with somebody who may sign in; where it does not start the demo goes on without it."""
    headline("4/6", "the web console")
    address = f"http://{config.console.host}:{config.console.port}"
    with running(["console"], log) as job:
        if _answers(f"{address}/health", job):
            say(f"it is at {address}; {_who_signs_in(config)}")
            if sys.stderr.isatty() and (sys.platform == "darwin" or os.environ.get("DISPLAY")):
                webbrowser.open(address)
        else:
            say(f"the demo goes on without the console: {job.last_line()}")
        yield


def _who_signs_in(config: Settings) -> str:
    """Who may sign in, as a sentence; makes the first user where there is none, once its password can be shown."""
    with session(config) as connection:
        if list_users(connection):
            return "sign in as one of `activity users list`"
        password = new_password()
        add_user(connection, "demo", "admin", password)
    return f"sign in as demo with the password {password} (shown only once)"


def _answers(url: str, job: Job, seconds: float = 60) -> bool:
    """Whether a server answers there, with whatever status, before the time is up or the job ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and job.exit_code is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.2)
    return False


def _reports_are_ours(config: Settings) -> bool:
    """Whether there is no report yet, or one on daily records of watches: no other is replaced."""
    try:
        people = read_export(exports_folder(config), "people", columns=["source"])
    except DataError:
        return False
    return people is None or "synthetic" not in people.column("source").to_pylist()


@contextmanager
def _days(logs: Path) -> Iterator[None]:
    """The day so far of the fleet's people, as daily records and a report on them, made anew while the block lasts."""
    # a day of a few people needs little memory, and the scorer has a Java of its own
    environment = os.environ | {"ACTIVITY_REPORTS__SOURCE": "devices", "ACTIVITY_SPARK__DRIVER_MEMORY": "1g"}
    over = threading.Event()

    def make() -> None:
        after = _DAYS_AFTER
        while not over.wait(after):
            after = _DAYS_EVERY
            for verb in (["days", "build"], ["report"]):
                with running(verb, logs / f"demo-{verb[0]}.log", environment, gives_way=True) as job:
                    while job.exit_code is None and not over.wait(0.3):
                        pass
                if job.exit_code != 0:
                    break  # its log says why; the demo goes on, and so do further attempts

    thread = threading.Thread(target=make, name="days", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _scored(config: Settings, begin: float) -> bool:
    """Whether there are predictions of this run."""
    with session(config, read_only=True) as connection:
        return totals_since(connection, datetime.fromtimestamp(begin, UTC)).windows > 0


def _view(
    seconds: float | None, jobs: Sequence[Job], scored: Callable[[], bool], when_scored: Callable[[], None]
) -> None:
    """The live view in the foreground until it ends, or until a job does. when_scored : called once, as soon as
    `scored` is true"""
    view = subprocess.Popen(command(["watch", *(["--seconds", f"{seconds:g}"] if seconds else [])]))
    waiting = True
    try:
        while view.poll() is None:
            time.sleep(0.3)
            for job in jobs:
                if job.exit_code not in (None, 0):
                    raise ServiceUnavailableError(f"a job ended on its own: {job.last_line()}")
            if waiting and scored():
                waiting = False
                when_scored()
    except KeyboardInterrupt:
        # a terminal has sent it the same; who signals this process alone, as `docker stop`, has not
        with suppress(subprocess.TimeoutExpired):
            view.wait(2)
    finally:
        if view.poll() is None:
            view.terminate()
            view.wait()


def _summary(config: Settings, begin: float) -> Summary:
    since = datetime.fromtimestamp(begin, UTC)
    with session(config, read_only=True) as connection:
        totals = asdict(totals_since(connection, since))
    try:
        result = evaluate(config, since, _LEAST_COVERAGE)
    except DataError:
        return Summary(**totals)
    return Summary(
        **totals,
        compared=result.raw.compared,
        agreement=result.raw.accuracy,
        smoothed_agreement=result.smoothed.accuracy,
    )
