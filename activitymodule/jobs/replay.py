"""`activity replay`: send recordings of real people to Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows import replaying

SECTION = "Stream"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity replay wisdm --speed 10 --people 1600,1601")
def replay(
    what: str = typer.Argument(
        help="A prepared source (wisdm), a path of prepared or raw recordings, or MAPPING:PATH."
    ),
    speed: str = typer.Option("1", help="Recorded seconds a second, or max."),
    people: str | None = typer.Option(None, help="Only these people, separated by commas."),
    keep_time: bool = typer.Option(False, help="Send the recorded times; otherwise they are moved to now."),
    limit_seconds: float | None = typer.Option(
        None, min=0.1, callback=options.finite, help="Only this much of each recording, from its start."
    ),
    readings_per_message: int = typer.Option(
        10, min=1, max=1000, help="Readings in a message, at most; 10 are 1 s."
    ),
    passes: int = typer.Option(1, min=1, max=1000, help="Send them so often, one after another."),
    skip_gaps: bool = typer.Option(False, help="Do not wait while nobody has a reading."),
    as_json: bool = options.JSON,
) -> None:
    """Send recordings of real people to Kafka, and their activities to the truth topic.

    People start together. Recorded times are moved so that none is ahead of the clock: at speed 1 they start
    now, faster they end now. Ctrl-C ends it after what was sent has arrived.
    """
    with _progress() as show:
        replayed = replaying.replay(
            settings(),
            what,
            speed=options.speed_of(speed),
            people=options.names_of(people),
            keep_time=keep_time,
            limit_seconds=limit_seconds,
            readings_per_message=readings_per_message,
            passes=passes,
            skip_gaps=skip_gaps,
            progress=show,
        )
    if as_json:
        output.print_json(replayed)
    else:
        typer.echo(
            f"{'stopped after' if replayed.stopped else 'sent'} {replayed.readings:,} readings of "
            f"{replayed.people} people in {replayed.messages:,} messages, {replayed.truth:,} truth spans, "
            f"{replayed.seconds:.1f} s"
        )


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A line on stderr with the number of readings sent."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replaying")
        calls = 0

        def show(people: int, readings: int) -> None:
            nonlocal calls
            if calls % 100 == 0:
                progress.update(task, description=f"replaying {people} people: {readings:,} readings sent")
            calls += 1

        yield show
