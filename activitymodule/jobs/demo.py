"""`activity demo`: run the whole system: fleet, scoring, console and a live view."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import typer

from activitymodule.errors import ActivityError, DataError, ServiceUnavailableError
from activitymodule.settings import Settings, resolve, settings

SECTION = "Demos"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_END_SECONDS = 30.0


@app.command(epilog="Example: DEMO_SECONDS=90 activity demo --devices 20")
def demo(
    seconds: float | None = typer.Option(
        None, envvar="DEMO_SECONDS", min=20, help="End by itself after so many seconds of live view."
    ),
    devices: int = typer.Option(0, min=0, help="How many watches; 0: as fleet.devices says."),
    keep: bool = typer.Option(False, help="Leave the embedded stack running at the end."),
    console: bool = typer.Option(True, help="Serve the web console, and open it where there is a screen."),
    airflow: bool = typer.Option(True, help="Start Airflow as well (600 MB of memory, half a minute)."),
    json_: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Start everything, train a champion where there is none, and watch predictions arrive.

    Ctrl-C ends all of it. With --seconds it ends by itself, with a summary, and fails if no predictions came.
    """
    from activitymodule.embedded.airflow import NAMES as AIRFLOW
    from activitymodule.embedded.stack import Stack

    config = settings()
    stack = Stack(config)
    was_running = stack.status().running
    had_airflow = stack.pid(AIRFLOW[0]) is not None
    try:
        _headline("1/6", "the embedded stack: PostgreSQL, Kafka, MLflow")
        stack.up(say=_say)
        _headline("2/6", "a champion to score with")
        _train_where_needed(config)
        count = devices or config.fleet.devices
        _headline("3/6", f"{count} watches in real time, and the streaming job")
        begin = time.time()
        logs = resolve(config.local.folder) / "logs"
        with (
            _running(["score"], logs / "demo-score.log") as scorer,
            _running(["generate", "--devices", str(count)], logs / "demo-generate.log") as fleet,
            _console(config, logs / "demo-console.log") if console else nullcontext(),
        ):
            if airflow:
                _headline("5/6", "Airflow, for retraining")
                _start_airflow(config)
            _headline("6/6", f"live predictions (Ctrl-C ends the demo; what the jobs say is in {logs})")
            _view(seconds, (scorer, fleet))
        summary = _summary(config, begin)
    except KeyboardInterrupt:
        _say("ending")
        raise
    finally:
        if not keep and not was_running:
            stack.down(_say)
        elif not keep and airflow and not had_airflow:
            stack.down(only=AIRFLOW)
    _report(summary, json_)


def _say(sentence: str) -> None:
    typer.echo(f"    {sentence}", err=True)


def _headline(step: str, what: str) -> None:
    typer.secho(f"[{step}] {what}", bold=True, err=True)


def _verb(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "activitymodule", *arguments]


def _train_where_needed(config: Settings) -> None:
    from activitymodule.registry.versions import champion

    missing = [
        what
        for what, name in (("activity", config.registry.classifier), ("energy", config.registry.regressor))
        if champion(config, name) is None
    ]
    if not missing:
        _say("there is one already")
        return
    what = "both" if len(missing) == 2 else missing[0]
    _say("none yet: training one on people synthesised from the reference statistics (about a minute)")
    ended = subprocess.run(_verb(["train", what, "--data", "synthetic", "--if-missing"]), check=False)
    if ended.returncode:
        raise ActivityError("training did not succeed; see above")


@contextmanager
def _console(config: Settings, log: Path) -> Iterator[None]:
    """The web console, with somebody who may sign in; a machine on which it does not start does without."""
    from activitymodule.store.connection import session
    from activitymodule.store.users import add_user, list_users, new_password

    _headline("4/6", "the console, to look and to label")
    sign_in = "sign in as one of `activity users list`"
    with session(config) as connection:
        if not list_users(connection):
            password = new_password()
            add_user(connection, "demo", "admin", password)
            sign_in = f"sign in as demo with the password {password} (shown this once)"
    address = f"http://{config.console.host}:{config.console.port}"
    with _running(["console"], log) as process:
        if _answers(f"{address}/health", process):
            _say(f"it is at {address}; {sign_in}")
            if sys.stderr.isatty() and (sys.platform == "darwin" or os.environ.get("DISPLAY")):
                webbrowser.open(address)
        else:
            words = log.read_text(errors="replace").strip().splitlines()
            _say(f"the demo goes on without the console: {words[-1] if words else 'it does not answer'}")
        yield


def _answers(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> bool:
    """Whether anything at all is answered there before the time is up or the process ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.2)
    return False


def _start_airflow(config: Settings) -> None:
    """Airflow beside the rest; a machine that cannot carry it, or has none, does without."""
    from activitymodule.workflows.airflow import start

    try:
        start(config, _say)
    except ActivityError as error:
        _say(f"the demo goes on without Airflow: {error}")
        return
    _say(
        f"Airflow is ready at {config.airflow.uri} (user {config.airflow.user}, its password stands in .env)"
    )


@contextmanager
def _running(arguments: Sequence[str], log: Path) -> Any:
    """A verb as a process of its own session (Ctrl-C reaches it through us), its output in a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            _verb(arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    process.log = log  # type: ignore[attr-defined]
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGINT to the verb, which ends it cleanly; after a while, and for whatever is left of its session, SIGKILL."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            _say("a job does not end; killing it")
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _view(seconds: float | None, jobs: Sequence[subprocess.Popen[bytes]]) -> None:
    """The live view in the foreground until it ends, or until a job does."""
    arguments = ["watch"] + (["--seconds", f"{seconds:g}"] if seconds else [])
    view = subprocess.Popen(_verb(arguments))
    try:
        while view.poll() is None:
            time.sleep(0.3)
            for job in jobs:
                if job.poll() not in (None, 0):
                    raise ServiceUnavailableError(f"a job ended on its own: {_last_line(job.log)}")  # type: ignore[attr-defined]
    except KeyboardInterrupt:
        view.wait(10)  # the terminal has sent it the same
    finally:
        if view.poll() is None:
            view.terminate()
            view.wait()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{lines[-1]} (all of it in {log})" if lines else f"it said nothing ({log})"


def _summary(config: Settings, begin: float) -> dict[str, Any]:
    from activitymodule.store.connection import session

    with session(config, read_only=True) as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*), count(DISTINCT device_id), count(activity), coalesce(sum(readings_used), 0),
                   percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
                       ORDER BY extract(epoch FROM processed_at - received_at)) FILTER (WHERE coverage >= 0.99)
            FROM predictions WHERE processed_at >= to_timestamp(%s)
            """,
            (begin,),
        )
        windows, watches, scored, readings, latency = cursor.fetchone() or (0, 0, 0, 0, None)
        cursor.execute("SELECT count(*) FROM dead_letters WHERE noticed_at >= to_timestamp(%s)", (begin,))
        dead = (cursor.fetchone() or (0,))[0]
    return {
        **_agreement(config, begin),
        "windows": windows,
        "windows_with_activity": scored,
        "watches": watches,
        "readings_used": int(readings),
        "dead_letters": dead,
        "latency_p50_seconds": round(latency[0], 3) if latency else None,
        "latency_p95_seconds": round(latency[1], 3) if latency else None,
    }


def _agreement(config: Settings, begin: float) -> dict[str, Any]:
    """How many windows could be compared with the truth topic, and the share that agrees."""
    from activitymodule.workflows.evaluation import evaluate

    try:
        found = evaluate(config, datetime.fromtimestamp(begin, UTC), 0.9, None)
    except DataError:
        return {"compared": 0, "agreement": None, "smoothed_agreement": None}
    return {
        "compared": found.raw.compared,
        "agreement": found.raw.accuracy,
        "smoothed_agreement": found.smoothed.accuracy,
    }


def _report(summary: dict[str, Any], as_json: bool) -> None:
    out: IO[str] = sys.stdout
    if as_json:
        print(json.dumps(summary), file=out)
    else:
        print(
            f"\n{summary['windows']:,} windows of {summary['watches']:,} watches in PostgreSQL, "
            f"{summary['windows_with_activity']:,} with an activity, from {summary['readings_used']:,} readings; "
            f"{summary['dead_letters']:,} dead letters",
            file=out,
        )
        if summary["latency_p50_seconds"] is not None:
            print(
                f"from a window's last reading to its row: {summary['latency_p50_seconds']:.2f} s at the median, "
                f"{summary['latency_p95_seconds']:.2f} s at the 95th percentile",
                file=out,
            )
        if summary["agreement"] is not None:
            print(
                f"{summary['agreement']:.0%} of {summary['compared']:,} windows agree with the truth topic, "
                f"{summary['smoothed_agreement']:.0%} when smoothed",
                file=out,
            )
    if not summary["windows_with_activity"]:
        raise ActivityError("no predictions arrived; `activity logs` and `activity doctor` say more")
