"""`activity airflow`: start Airflow; list, trigger and approve its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import typer

from activitymodule.embedded import airflow as services
from activitymodule.embedded import logs as embedded_logs
from activitymodule.embedded import stack
from activitymodule.errors import ActivityError, ConfigError
from activitymodule.jobs import options, output
from activitymodule.orchestration import client
from activitymodule.settings import settings
from activitymodule.workflows import airflow

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

_DAG = typer.Argument(help="The DAG: retrain_activity_model, drift_report, refresh_statistics, retention.")
_PARTS = {"api": "airflow", "scheduler": "airflow-scheduler", "dags": "airflow-dags"}


@app.command(epilog="Example: activity airflow up")
def up(
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print nothing unless something is wrong."),
) -> None:
    """Start Airflow (API server, scheduler, DAG processor) on the embedded PostgreSQL, supervised.

    Its pages are at airflow.uri; the user is airflow.user, the password ACTIVITY_AIRFLOW__PASSWORD of .env. It needs
    about 600 MB of memory and starts in half a minute; `activity down` stops it with the rest.
    """
    config = settings()

    def say(text: str) -> None:
        if not quiet:
            typer.secho(text, dim=True, err=True)

    airflow.start(config, say)
    say(f"Airflow is ready at {config.airflow.uri} (user {config.airflow.user}, password in .env)")


@app.command(epilog="Example: activity airflow down")
def down() -> None:
    """Stop Airflow alone. Tasks that run are repeated when it starts again."""
    typer.secho("stopping Airflow", dim=True, err=True)
    stopped = stack.Stack(settings()).down(only=services.NAMES)
    typer.secho("stopped" if stopped else "Airflow does not run", dim=True, err=True)


@app.command(epilog="Example: activity airflow status --json")
def status(as_json: bool = options.JSON) -> None:
    """Show whether Airflow's parts work, and which DAG files cannot be read. Ends with code 3 unless all is well."""
    config = settings()
    states = {state.name: state.status for state in stack.Stack(config).status().services}
    parts = {name: states.get(name, "stopped") for name in services.NAMES}
    healthy = client.healthy(config)
    unread = client.import_errors(config) if healthy else []
    if as_json:
        output.print_json({"healthy": healthy, "uri": config.airflow.uri, "parts": parts, "errors": unread})
    else:
        output.print_table(("part", "status"), list(parts.items()))
        typer.echo(f"{config.airflow.uri} {'is ready' if healthy else 'is not ready'}")
        for sentence in unread:
            typer.echo(sentence)
    if not healthy or unread:
        raise typer.Exit(3)


@app.command(epilog="Example: activity airflow logs scheduler -f")
def logs(
    part: str = typer.Argument("", help="api, scheduler or dags; all of them if left out."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Also print what is written from now on."),
    lines: int = typer.Option(20, "--lines", "-n", min=0, help="How many lines of each log."),
) -> None:
    """Show the last lines of Airflow's own logs. The log of a task is on its page in Airflow."""
    if part and part not in _PARTS:
        raise ConfigError(f"Airflow has no part {part!r}; the parts are {', '.join(_PARTS)}")
    if follow and not part:
        raise ConfigError("name the log to follow: " + ", ".join(_PARTS))
    for name in [_PARTS[part]] if part else services.NAMES:
        if not part:
            typer.echo(f"--- {name}")
        for _, line in embedded_logs.read(settings(), [name], lines, follow):
            typer.echo(line)


def _conf(text: str) -> Mapping[str, object]:
    try:
        conf = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
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
    seconds: float = typer.Option(3600, min=1, callback=options.finite, help="How long to wait at most."),
    as_json: bool = options.JSON,
) -> None:
    """Begin a run of a DAG."""
    config = settings()
    run_id = client.trigger(config, dag, _conf(conf))
    if held := client.held_back(config, dag, run_id):
        typer.echo(f"{run_id} is queued; {held}", err=True)
    if not wait:
        if as_json:
            output.print_json({"dag_id": dag, "run_id": run_id})
        else:
            typer.echo(run_id)
        return
    typer.echo(f"{run_id} has begun; {config.airflow.uri}/dags/{dag}", err=True)
    run = client.wait(config, dag, run_id, seconds)
    tasks = client.tasks(config, dag, run_id)
    if as_json:
        output.print_json({**asdict(run), "tasks": tasks})
    else:
        for task in tasks:
            typer.echo(f"{task.task_id}: {task.state}")
        typer.echo(f"{run.run_id}: {run.state}")
    if run.state != "success":
        raise ActivityError(
            f"the run {run_id} of {dag} failed; its tasks' logs are at {config.airflow.uri}/dags/{dag}"
        )


@app.command(epilog="Example: activity airflow runs retrain_activity_model --limit 5")
def runs(
    dag: str = _DAG,
    limit: int = typer.Option(20, min=1, max=100, help="How many, the newest first."),
    as_json: bool = options.JSON,
) -> None:
    """List the runs of a DAG."""
    found = client.runs(settings(), dag, limit)
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        ("run", "kind", "state", "began", "ended", "params"),
        [(run.run_id, run.kind, run.state, run.begun_at, run.ended_at, run.conf) for run in found],
    )


@app.command(
    epilog="Example: activity airflow rerun retrain_activity_model manual__2026-11-21T04:15:01+00:00"
)
def rerun(
    dag: str = _DAG, run_id: str = typer.Argument(help="A run that failed, as `runs` lists it.")
) -> None:
    """Continue a run that failed, from the step that failed."""
    client.rerun(settings(), dag, run_id)


@app.command(epilog="Example: activity airflow answer retrain_activity_model RUN --reject")
def answer(
    dag: str = _DAG,
    run_id: str = typer.Argument(help="A run that waits for approval, as `runs` lists it."),
    reject: bool = typer.Option(False, help="Reject it: the champion stays."),
) -> None:
    """Approve (or reject) what a run waits for."""
    config = settings()
    waiting = [task for task in client.tasks(config, dag, run_id) if task.waits]
    if not waiting:
        raise ConfigError(
            f"the run {run_id} of {dag} does not wait for approval; `activity airflow runs {dag}` lists them"
        )
    client.answer(config, dag, run_id, waiting[0].task_id, not reject)
    typer.echo("rejected" if reject else "approved")
