"""`activity up`: start the embedded stack: PostgreSQL, Kafka and the model registry."""

from __future__ import annotations

import contextlib

import typer
from rich.console import Console

from activitymodule.embedded import stack
from activitymodule.jobs import options
from activitymodule.settings import settings

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity up --only postgres,kafka")
def up(
    only: str = typer.Option("", help="Services to start, with commas between: postgres, kafka, mlflow."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print nothing unless something is wrong."),
) -> None:
    """Start PostgreSQL, Kafka and the model registry on this machine, supervised, and wait until they answer.

    Run it as often as you like: services that run are left alone, and their data is kept.
    """
    console = Console(stderr=True)

    def say(text: str) -> None:
        if not quiet:
            console.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)

    with contextlib.nullcontext() if quiet else console.status("starting the embedded stack"):
        stack.Stack(settings()).up(options.names_of(only) or None, say)
