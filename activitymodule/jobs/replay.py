"""`activity replay`: recordings of real people into Kafka, at the pace they were made or faster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.settings import resolve, settings

if TYPE_CHECKING:
    from activitymodule.telemetry.recordings import Event

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def speed_of(text: str) -> float | None:
    """A factor, or None for `max`."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ConfigError(f"--speed must be a number above 0, or max; given: {text}")
    return speed


@app.command(epilog="Example: activity replay wisdm --speed 10 --people 1600,1601")
def replay(
    what: str = typer.Argument(help="A prepared source (wisdm), or a path of prepared or raw recordings."),
    speed: str = typer.Option("1", help="Recorded seconds per second, or max."),
    people: str | None = typer.Option(None, help="Only these, separated by commas."),
    keep_time: bool = typer.Option(False, help="Send the recorded times; otherwise they are moved to now."),
    limit_seconds: float | None = typer.Option(
        None, min=0.1, help="Only so much of each recording, from its start."
    ),
    readings_per_message: int = typer.Option(10, min=1, max=1000, help="At most; 10 are a second."),
    json_: bool = typer.Option(False, "--json", help="Print what was sent as JSON."),
) -> None:
    """Send recordings of real people to Kafka, and what they did to the truth topic.

    People start together. Recorded times are moved so that none is ahead of the clock: at speed 1 they start
    now, faster they end now. Ctrl-C ends it after what was sent has arrived.
    """
    from activitymodule.kafka.clients import producer
    from activitymodule.telemetry import recordings

    config = settings()
    pace = speed_of(speed)
    wanted = [name.strip() for name in people.split(",") if name.strip()] if people else None
    found = recordings.find(what, resolve(config.lake.folder) / "prepared", wanted, limit_seconds)
    align_us = config.windows.length_seconds * 1_000_000
    sent = {"messages": 0, "readings": 0, "truth": 0}
    failed: list[BaseException] = []
    stopped = False
    with producer(config) as client:
        start_us = None
        if not keep_time:
            longest = found.longest_us(align_us)
            start_us = recordings.start_of_replay(int(time.time() * 1e6), longest, pace, align_us)
        events = found.schedule(start_us, align_us, readings_per_message)
        began = time.monotonic()
        with _progress(len(found.people)) as show:
            try:
                for event in _paced(events, pace):
                    topic = config.kafka.truth_topic if event.truth else config.kafka.topic
                    future = client.send(topic, event.value, key=event.device_id.encode())
                    future.add_errback(failed.append)
                    sent["truth" if event.truth else "messages"] += 1
                    sent["readings"] += event.readings
                    if failed:
                        break
                    show(sent)
            except KeyboardInterrupt:
                stopped = True
        client.flush()
        took = time.monotonic() - began
    if failed:
        raise ServiceUnavailableError(
            f"Kafka did not take {len(failed)} messages ({type(failed[0]).__name__}); look at `activity status`"
        )
    done = {**sent, "people": len(found.people), "seconds": round(took, 1), "stopped": stopped}
    if json_:
        typer.echo(json.dumps(done))
    else:
        typer.echo(
            f"{'stopped after' if stopped else 'sent'} {sent['readings']:,} readings of {len(found.people)} people "
            f"in {sent['messages']:,} messages, {sent['truth']:,} truth spans, {took:.1f} s",
        )


def _paced(events: Iterator[Event], speed: float | None) -> Iterator[Event]:
    """Events, each when it is due; the first one at once."""
    first_us = None
    began = time.monotonic()
    for event in events:
        if speed is not None:
            first_us = event.due_us if first_us is None else first_us
            ahead = began + (event.due_us - first_us) / 1e6 / speed - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        yield event


@contextmanager
def _progress(people: int) -> Iterator[Any]:
    """A line on stderr that says how far it is."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"replaying {people} people")

        def show(sent: dict[str, int]) -> None:
            if sent["messages"] % 100 == 0:
                progress.update(
                    task, description=f"replaying {people} people: {sent['readings']:,} readings sent"
                )

        yield show
