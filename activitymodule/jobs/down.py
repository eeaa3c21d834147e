"""`activity down`: stop the embedded stack; its data stays."""

from __future__ import annotations

import typer

from activitymodule.settings import settings

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity down")
def down(
    only: str = typer.Option("", help="Services to stop, with commas between; those needing them too."),
) -> None:
    """Stop the embedded stack, also what a killed supervisor left behind. Its data stays."""
    from rich.console import Console

    from activitymodule.embedded.stack import Stack

    console = Console(stderr=True)
    names = [name.strip() for name in only.split(",") if name.strip()] or None
    with console.status("stopping the embedded stack"):
        stopped = Stack(settings()).down(only=names)
    console.print("stopped" if stopped else "nothing runs", style="dim", highlight=False)
