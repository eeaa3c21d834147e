"""`activity status`: show which services run, and their addresses."""

from __future__ import annotations

import time
from dataclasses import asdict

import typer

from activitymodule.embedded import stack
from activitymodule.errors import ActivityError
from activitymodule.jobs import options, output
from activitymodule.settings import Settings, settings
from activitymodule.workflows import archiving, devices, model_versions
from activitymodule.workflows.events import report

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def span(seconds: float) -> str:
    """A span of time in its two largest units: 3 h 5 min."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [
        f"{number} {unit}"
        for number, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
        if number
    ]
    return " ".join(parts[:2]) or "0 s"


@app.command(epilog="Example: activity status --json")
def status(as_json: bool = options.JSON) -> None:
    """Show what runs, where, and since when. Ends with code 3 unless everything that was started answers."""
    own = stack.Stack(settings())
    now = own.status()
    # nothing can be asked of a store that does not run
    archive = archiving.archive_report(settings()) if now.running else None
    models = _models(settings()) if now.running and now.healthy else []
    bare = _without_profile(settings()) if now.running and now.healthy else None
    events = report.events_report(settings()) if now.running else None
    if as_json:
        output.print_json(
            {
                "healthy": now.healthy,
                "folder": now.folder,
                "supervisor": now.supervisor,
                "models": models,
                "recent_watches_without_profile": bare,
                "services": {service.name: asdict(service) for service in now.services},
                "events": None if events is None else {"good": events.good, "summary": events.summary},
                "archive": None if archive is None else {"good": archive.good, "summary": archive.summary},
            }
        )
    else:
        output.print_table(
            ("service", "status", "address", "process", "since", "restarts"),
            [
                (
                    own.services[one.name].title,
                    one.status,
                    one.address,
                    str(one.process.pid) if one.process else "",
                    span(time.time() - one.since) if one.since else "",
                    str(one.restarts) if one.restarts else "",
                )
                for one in now.services
            ],
        )
        for one in now.services:
            if one.error:
                typer.echo(f"{own.services[one.name].title}: {one.error}")
        if archive is not None:
            typer.secho(f"archive: {archive.summary}", fg=None if archive.good else "red")
        if events is not None:
            typer.secho(f"events: {events.summary}", fg=None if events.good else "red")
        for problem in models:
            typer.echo(problem)
        if bare:
            typer.echo(
                f"{bare:,} watches of the last hour have no device profile: their readings are taken as sent; "
                "`activity devices` sets their model"
            )
        if not now.running:
            typer.secho("nothing is supervised; `activity up` starts it", dim=True, err=True)
    if not now.healthy:
        raise typer.Exit(3)


def _without_profile(config: Settings) -> int | None:
    """How many recent watches have no device profile; None where that cannot be asked."""
    try:
        return devices.recent_without_profile(config)
    except ActivityError:
        return None


def _models(config: Settings) -> list[str]:
    """What is wrong with the models that serve; nothing where that cannot be asked."""
    try:
        return model_versions.problems_of_serving(config)
    except ActivityError:
        return []
