"""`activity up`: start the embedded stack: PostgreSQL, Kafka and the model registry."""

from __future__ import annotations

import contextlib

import typer

from activitymodule.settings import settings

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity up --only postgres,kafka")
def up(
    only: str = typer.Option("", help="Services to start, with commas between: postgres, kafka, mlflow."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Say nothing unless something is wrong."),
) -> None:
    """Start PostgreSQL, Kafka and the model registry on this machine, supervised, and wait until they answer.

    Run it as often as you like: what runs is left alone, and the data of the last time is there again.
    """
    from rich.console import Console

    from activitymodule.embedded.stack import Stack

    console = Console(stderr=True)
    names = [name.strip() for name in only.split(",") if name.strip()] or None
    stack = Stack(settings())

    def say(text: str) -> None:
        if not quiet:
            console.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)

    with contextlib.nullcontext() if quiet else console.status("starting the embedded stack"):
        stack.up(names, say)
