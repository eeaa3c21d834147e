"""`activity airflow`: the embedded Airflow, and the runs of its DAGs."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any

import typer

from activitymodule.errors import ActivityError, ConfigError, ServiceUnavailableError
from activitymodule.settings import Settings, settings

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

_DAG = typer.Argument(help="The DAG: retrain_activity_model, drift_report, refresh_statistics.")
_JSON = typer.Option(False, "--json", help="Print JSON for scripts.")


def start(config: Settings, say: Any, seconds: float = 300) -> None:
    """Starts Airflow beside the rest of the stack and waits until a run that is triggered would run."""
    from activitymodule.embedded import airflow
    from activitymodule.embedded.stack import Stack

    stack = Stack(config)
    before = stack.pid(airflow.Airflow.name) is not None
    try:
        stack.up(airflow.NAMES, say, seconds=seconds)
    except ServiceUnavailableError:
        # or it would be tried again and again, and the stack would never be well
        if not before:
            stack.down(only=airflow.NAMES)
        raise
    deadline = time.monotonic() + seconds
    while not airflow.healthy(config) or not _read(config):
        if time.monotonic() > deadline:
            raise ServiceUnavailableError(
                f"Airflow at {config.airflow.uri} has not read its DAGs after {seconds:.0f} s; "
                "see `activity airflow logs dags`"
            )
        time.sleep(0.5)
    for error in airflow.errors(config):
        say(f"a DAG cannot be read: {error}")


def _read(config: Settings) -> bool:
    """Whether the DAG that all is about is known, or why it cannot be is."""
    from activitymodule.embedded import airflow

    try:
        airflow.runs(config, airflow.RETRAIN, limit=1)
        return True
    except ConfigError as error:
        if "knows nothing of it" not in str(error):
            raise
    return bool(airflow.errors(config))


@app.command(epilog="Example: activity airflow up")
def up(
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Say nothing unless something is wrong."),
) -> None:
    """Start Airflow (API server, scheduler, DAG processor) on the embedded PostgreSQL, supervised.

    Its pages are at airflow.uri; the user is airflow.user, the password ACTIVITY_AIRFLOW__PASSWORD of .env. It needs
    about 600 MB of memory and starts in half a minute; `activity down` stops it with the rest.
    """
    from rich.console import Console

    console = Console(stderr=True)
    config = settings()

    def say(text: str) -> None:
        if not quiet:
            console.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)

    start(config, say)
    say(f"Airflow is ready at {config.airflow.uri} (user {config.airflow.user}, password in .env)")


@app.command(epilog="Example: activity airflow down")
def down() -> None:
    """Stop Airflow alone; what it was doing is gone on with when it starts again."""
    from rich.console import Console

    from activitymodule.embedded.airflow import NAMES
    from activitymodule.embedded.stack import Stack

    console = Console(stderr=True)
    with console.status("stopping Airflow"):
        stopped = Stack(settings()).down(only=NAMES)
    console.print("stopped" if stopped else "Airflow does not run", style="dim", highlight=False)


@app.command(epilog="Example: activity airflow status --json")
def status(as_json: bool = _JSON) -> None:
    """Show whether Airflow's parts are at work, and what it could not read. Ends with code 3 unless all is well."""
    from activitymodule.embedded import airflow
    from activitymodule.embedded.stack import Stack
    from activitymodule.jobs.output import print_json, print_table

    config = settings()
    states = {told.name: told for told in Stack(config).status().services}
    parts = {name: states[name].status if name in states else "stopped" for name in airflow.NAMES}
    good = airflow.healthy(config)
    unread = airflow.errors(config) if good else []
    if as_json:
        print_json({"healthy": good, "uri": config.airflow.uri, "parts": parts, "errors": unread})
    else:
        print_table(("part", "status"), list(parts.items()))
        print(f"{config.airflow.uri} {'is ready' if good else 'is not ready'}")
        for sentence in unread:
            print(sentence)
    if not good or unread:
        raise typer.Exit(3)


@app.command(epilog="Example: activity airflow logs scheduler -f")
def logs(
    part: str = typer.Argument("", help="api, scheduler or dags; all of them if left out."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on with what is written from now on."),
    lines: int = typer.Option(20, "--lines", "-n", min=0, help="How many lines of each log."),
) -> None:
    """Show the last lines of Airflow's own logs. What a task said is on its page in Airflow."""
    from activitymodule.embedded.airflow import NAMES
    from activitymodule.jobs import logs as verb

    names = {"api": "airflow", "scheduler": "airflow-scheduler", "dags": "airflow-dags"}
    if part and part not in names:
        raise ConfigError(f"Airflow has no part {part!r}; the parts are {', '.join(names)}")
    if part:
        verb.logs(names[part], follow, lines)
        return
    if follow:
        raise ConfigError("say whose log to follow: " + ", ".join(names))
    for name in NAMES:
        print(f"--- {name}")
        verb.logs(name, False, lines)


def _conf(text: str) -> dict[str, Any]:
    try:
        conf = json.loads(text) if text else {}
    except ValueError as error:
        raise ConfigError(f"--conf is not JSON ({error}); write it like '{{\"force\": true}}'") from None
    if not isinstance(conf, dict):
        raise ConfigError("--conf must be a JSON object, like '{\"force\": true}'")
    return conf


@app.command(
    epilog="""Example: activity airflow trigger retrain_activity_model --conf '{"force": true}' --wait"""
)
def trigger(
    dag: str = _DAG,
    conf: str = typer.Option("", help="Params as a JSON object; the trigger form of the DAG describes them."),
    wait: bool = typer.Option(False, help="Wait until the run is over; code 1 if it failed."),
    seconds: float = typer.Option(3600, min=1, help="How long to wait, at the most."),
    as_json: bool = _JSON,
) -> None:
    """Begin a run of a DAG."""
    from activitymodule.embedded import airflow
    from activitymodule.jobs.output import print_json

    config = settings()
    run_id = airflow.trigger(config, dag, _conf(conf))
    if held := airflow.held_back(config, dag, run_id):
        print(f"{run_id} is queued; {held}", file=sys.stderr)
    if not wait:
        if as_json:
            print_json({"dag_id": dag, "run_id": run_id})
        else:
            print(run_id)
        return
    print(f"{run_id} has begun; {config.airflow.uri}/dags/{dag}", file=sys.stderr)
    run = airflow.wait(config, dag, run_id, seconds)
    said = airflow.tasks(config, dag, run_id)
    if as_json:
        print_json({**asdict(run), "tasks": [asdict(task) for task in said]})
    else:
        for task in said:
            print(f"{task.task_id}: {task.state}")
        print(f"{run.run_id}: {run.state}")
    if run.state != "success":
        raise ActivityError(
            f"the run {run_id} of {dag} failed; its tasks' logs are at {config.airflow.uri}/dags/{dag}"
        )


@app.command(epilog="Example: activity airflow runs retrain_activity_model --limit 5")
def runs(
    dag: str = _DAG,
    limit: int = typer.Option(20, min=1, max=100, help="How many, the newest first."),
    as_json: bool = _JSON,
) -> None:
    """List the runs of a DAG."""
    from activitymodule.embedded import airflow
    from activitymodule.jobs.output import print_json, print_table

    found = airflow.runs(settings(), dag, limit)
    if as_json:
        print_json([asdict(run) for run in found])
        return
    print_table(
        ("run", "kind", "state", "began", "ended", "params"),
        [(run.run_id, run.kind, run.state, run.begun_at, run.ended_at, run.conf) for run in found],
    )


@app.command(
    epilog="Example: activity airflow rerun retrain_activity_model manual__2026-11-21T04:15:01+00:00"
)
def rerun(
    dag: str = _DAG, run_id: str = typer.Argument(help="A run that failed, as `runs` lists it.")
) -> None:
    """Go on with a run that failed, from the step that failed."""
    from activitymodule.embedded import airflow

    airflow.rerun(settings(), dag, run_id)


@app.command(epilog="Example: activity airflow answer retrain_activity_model RUN --reject")
def answer(
    dag: str = _DAG,
    run_id: str = typer.Argument(help="A run that waits for approval, as `runs` lists it."),
    reject: bool = typer.Option(False, help="Say no: the champion stays."),
) -> None:
    """Approve (or reject) what a run waits for."""
    from activitymodule.embedded import airflow

    config = settings()
    waiting = [
        task for task in airflow.tasks(config, dag, run_id) if task.state in ("awaiting_input", "deferred")
    ]
    if not waiting:
        raise ConfigError(
            f"the run {run_id} of {dag} waits for nobody; `activity airflow runs {dag}` lists them"
        )
    airflow.answer(config, dag, run_id, waiting[0].task_id, not reject)
    print("rejected" if reject else "approved")
