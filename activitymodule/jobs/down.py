"""`activity down`: stop the embedded stack; its data stays."""

from __future__ import annotations

import typer
from rich.console import Console

from activitymodule.embedded import stack
from activitymodule.jobs import options
from activitymodule.settings import settings

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity down")
def down(
    only: str = typer.Option(
        "", help="Services to stop, with commas between; services that need them stop too."
    ),
) -> None:
    """Stop the embedded stack, also what a killed supervisor left behind. Its data stays."""
    console = Console(stderr=True)
    with console.status("stopping the embedded stack"):
        stopped = stack.Stack(settings()).down(only=options.names_of(only) or None)
    console.print("stopped" if stopped else "nothing runs", style="dim", highlight=False)
