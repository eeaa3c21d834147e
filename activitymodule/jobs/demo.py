"""`activity demo`: run the whole system: fleet, scoring, console and a live view."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import typer

from activitymodule.errors import ActivityError
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows import demo as workflow

SECTION = "Demos"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: DEMO_SECONDS=90 activity demo --devices 20")
def demo(
    seconds: float | None = typer.Option(
        None,
        envvar="DEMO_SECONDS",
        min=20,
        callback=options.finite,
        help="End after this many seconds of live view.",
    ),
    devices: int = typer.Option(0, min=0, help="Number of watches; 0: fleet.devices."),
    keep: bool = typer.Option(False, help="Leave the embedded stack running at the end."),
    console: bool = typer.Option(True, help="Serve the web console, and open it where there is a screen."),
    airflow: bool = typer.Option(True, help="Start Airflow as well (600 MB of memory, half a minute)."),
    days: bool = typer.Option(
        True,
        help="Make daily records of the fleet's people and a report on them, two minutes after the first predictions "
        "and every ten minutes; a report on synthetic people is left alone.",
    ),
    as_json: bool = options.JSON,
) -> None:
    """Start everything, train a champion where there is none, and show predictions live.

    Ctrl-C or SIGTERM ends all of it. With --seconds it ends by itself with a summary, and fails if there were no
    predictions.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    summary = workflow.run(
        workflow.Demo(seconds, devices, keep, console, airflow, days),
        settings(),
        say=_say,
        headline=_headline,
    )
    if as_json:
        output.print_json(summary)
    else:
        for line in _lines(summary):
            typer.echo(line)
    if not summary.windows_with_activity:
        raise ActivityError("no predictions were written; see `activity logs` and `activity doctor`")


def _say(sentence: str) -> None:
    typer.echo(f"    {sentence}", err=True)


def _headline(step: str, title: str) -> None:
    typer.secho(f"[{step}] {title}", bold=True, err=True)


def _lines(summary: workflow.Summary) -> Iterator[str]:
    yield (
        f"\n{summary.windows:,} windows of {summary.watches:,} watches in PostgreSQL, "
        f"{summary.windows_with_activity:,} with an activity, from {summary.readings_used:,} readings; "
        f"{summary.dead_letters:,} dead letters"
    )
    if summary.latency_p50_seconds is not None:
        yield (
            f"latency from a window's last reading to its row: {summary.latency_p50_seconds:.2f} s (median), "
            f"{summary.latency_p95_seconds:.2f} s (95th percentile)"
        )
    if summary.agreement is not None:
        yield (
            f"accuracy on {summary.compared:,} windows with a known truth: {summary.agreement:.0%}, "
            f"{summary.smoothed_agreement:.0%} smoothed"
        )
