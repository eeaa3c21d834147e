"""`activity watch`: show predictions live in the terminal."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console
from rich.live import Live

from activitymodule.jobs import options, output, watch_view
from activitymodule.settings import settings
from activitymodule.workflows import live

SECTION = "Stream"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_LINE_SECONDS = 5.0  # between lines where there is no terminal


class _EndedError(Exception):
    """A signal ended the view: the terminal is restored on the way out."""


def _end(_: int, __: FrameType | None) -> None:
    raise _EndedError


@app.command(epilog="Example: activity watch --seconds 60")
def watch(
    seconds: float = typer.Option(
        None, min=0.1, callback=options.finite, help="End after this many seconds; otherwise with Ctrl-C."
    ),
    interval: float = typer.Option(1.0, min=0.2, callback=options.finite, help="Seconds between updates."),
    json_lines: bool = typer.Option(False, help="Print one JSON object an update instead of the view."),
    as_plain: bool = typer.Option(
        False, "--plain", help="Print a line every 5 s instead of the view, as in a pipe."
    ),
    picture: Path = typer.Option(None, help="Write the last view as an SVG picture to this file."),
) -> None:
    """Show predictions live: activities, throughput, latency, lag, dead letters, accuracy where the truth is known.

    Services may come and go meanwhile: the view shows what is away and goes on.
    """
    config = settings()
    console = Console()
    deadline = None if seconds is None else time.monotonic() + seconds
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with live.Watcher(config) as watcher:
            if json_lines:
                _print(watcher, deadline, interval, _json_line)
            elif as_plain or not console.is_terminal or console.is_dumb_terminal:
                _print(watcher, deadline, max(interval, _LINE_SECONDS), watch_view.line)
            else:
                _show(watcher, deadline, interval, console)
            if picture is not None:
                watch_view.draw(watcher.snapshot(recent=watch_view.PICTURE_SIZE[1]), picture)
    except (KeyboardInterrupt, _EndedError):
        pass  # the usual way to end it
    finally:
        signal.signal(signal.SIGTERM, before)


def _json_line(snapshot: live.Snapshot) -> str:
    rates = {
        name: None if rate is None else round(rate, 3)
        for name, rate in (
            ("windows_per_second", snapshot.windows_per_second),
            ("readings_per_second", snapshot.readings_per_second),
        )
    }
    return output.json_line({**output.jsonable(snapshot), **rates})


def _sleep(deadline: float | None, interval: float) -> bool:
    """Wait until the next update; False where the time is up."""
    left = interval if deadline is None else min(interval, deadline - time.monotonic())
    if left <= 0:
        return False
    time.sleep(left)
    return deadline is None or time.monotonic() < deadline


def _print(
    watcher: live.Watcher,
    deadline: float | None,
    interval: float,
    form: Callable[[live.Snapshot], str],
) -> None:
    # Kafka answers within a moment; the first line should have it
    if _sleep(deadline, min(1.0, interval)):
        while True:
            print(form(watcher.snapshot()), flush=True)
            if not _sleep(deadline, interval):
                return
    print(form(watcher.snapshot()), flush=True)


def _show(watcher: live.Watcher, deadline: float | None, interval: float, console: Console) -> None:
    last = watcher.snapshot()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as view:
            while True:
                width, height = console.size
                last = watcher.snapshot(recent=max(5, height))
                view.update(watch_view.render(last, width, height), refresh=True)
                if not _sleep(deadline, interval):
                    break
    finally:
        # the alternate screen is gone; the last state stays in the terminal
        print(watch_view.line(last), file=sys.stdout, flush=True)
