"""`activity status`: show which services run, and their addresses."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import typer

from activitymodule.settings import settings

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_COLOURS = {"healthy": "green", "stopped": "dim", "starting": "yellow", "waiting": "yellow"}


def ago(seconds: float) -> str:
    """A span of time in its two largest units: 3 h 5 min."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    told = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(told[:2]) or "0 s"


@app.command(epilog="Example: activity status --json")
def status(
    as_json: bool = typer.Option(False, "--json", help="Print JSON for scripts."),
) -> None:
    """Show what runs, where, and since when. Ends with code 3 unless all that was started answers."""
    from rich.console import Console
    from rich.table import Table

    from activitymodule.embedded.stack import Stack

    stack = Stack(settings())
    now = stack.status()
    if as_json:
        services = {service.name: asdict(service) for service in now.services}
        report = {
            "healthy": now.healthy,
            "folder": str(now.folder),
            "supervisor": now.supervisor,
            "services": services,
        }
        typer.echo(json.dumps(report, indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("service", "status", "address", "process", "since", "restarts"):
            table.add_column(heading)
        for told in now.services:
            colour = _COLOURS.get(told.status, "red")
            table.add_row(
                stack.services[told.name].title,
                f"[{colour}]{told.status}[/]",
                told.address,
                str(told.process.pid) if told.process else "",
                ago(time.time() - told.since) if told.since else "",
                str(told.restarts) if told.restarts else "",
            )
        console = Console()
        console.print(table)
        for told in now.services:
            if told.error:
                console.print(
                    f"{stack.services[told.name].title}: {told.error}", markup=False, highlight=False
                )
        if not now.running:
            Console(stderr=True).print("nothing is supervised; `activity up` starts it", style="dim")
    if not now.healthy:
        raise typer.Exit(3)
