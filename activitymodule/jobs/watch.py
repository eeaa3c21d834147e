"""`activity watch`: a live view of predictions in the terminal. Reads the store and Kafka; disturbs neither."""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from activitymodule.errors import ActivityError, ServiceUnavailableError
from activitymodule.settings import Settings, settings
from activitymodule.store.connection import Connection

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from activitymodule.models.evaluation.against_truth import Agreement
    from activitymodule.store.live import Pulse, Recent

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_TRUTH_SECONDS = 300.0  # the agreement is over the last five minutes
_SLOW_SECONDS = 5.0  # between looks at what is costly: Kafka, the truth
_LINE_SECONDS = 5.0  # between lines where there is no terminal

# one colour an activity, in the order of the champion's labels; readable on dark and on light
_COLOURS = (
    "dodger_blue1",
    "orange1",
    "green3",
    "medium_orchid",
    "red1",
    "dark_cyan",
    "gold3",
    "hot_pink3",
    "steel_blue",
    "chartreuse4",
    "salmon1",
    "grey58",
)


_PICTURE_SIZE = (110, 34)  # columns and lines of the picture


@dataclass(frozen=True)
class Snapshot:
    """Everything one frame of the view shows. None: not known (yet, or while a service is away)."""

    topic: str
    pulse: Pulse | None = None
    lag: int | None = None  # messages that are not scored yet
    dead_letters: int | None = None
    agreement: Agreement | None = None
    store_trouble: str | None = None
    kafka_trouble: str | None = None


@dataclass
class _Slow:
    """What the background thread found last."""

    ends: dict[int, tuple[int, int]] | None = None
    dead_letters: int | None = None
    agreement: Agreement | None = None
    trouble: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Watcher:
    """Takes snapshots. The store is asked each time; Kafka and the truth by a thread of their own, because a
    broker that is away keeps its clients waiting."""

    def __init__(self, config: Settings) -> None:
        self._settings = config
        self._connection: Connection = None
        self._pulse: Pulse | None = None
        self._slow = _Slow()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="watch-kafka", daemon=True)

    def __enter__(self) -> Watcher:
        logging.getLogger("kafka").setLevel(logging.CRITICAL)  # we say ourselves what is away
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(2)
        self._drop()

    def snapshot(self, recent: int = 10) -> Snapshot:
        """How things are now; never raises for a service that is away."""
        trouble = None
        try:
            self._pulse = self._take(recent)
        except ActivityError as error:
            trouble = str(error)
            self._drop()
        with self._slow.lock:
            ends, dead = self._slow.ends, self._slow.dead_letters
            agreement, kafka_trouble = self._slow.agreement, self._slow.trouble
        return Snapshot(
            topic=self._settings.kafka.topic,
            pulse=self._pulse,
            lag=_lag(ends, self._pulse.offsets) if self._pulse else None,
            dead_letters=dead,
            agreement=agreement,
            store_trouble=trouble,
            kafka_trouble=kafka_trouble,
        )

    def _take(self, recent: int) -> Pulse:
        from activitymodule.store.connection import connect, explained
        from activitymodule.store.live import take_pulse

        if self._connection is None or self._connection.closed:
            self._connection = connect(self._settings, seconds=2)
            self._connection.set_session(readonly=True)
        with explained(self._settings):
            pulse = take_pulse(self._connection, self._settings.kafka.topic, recent=recent)
            self._connection.rollback()
        return pulse

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # ---- the slow part ------------------------------------------------------------------------------------

    def _follow(self) -> None:
        from activitymodule.kafka.clients import topic_ends
        from activitymodule.kafka.truth import TruthTail

        with TruthTail(self._settings, _TRUTH_SECONDS) as tail:
            while not self._stop.is_set():
                ends, trouble, truth = None, None, None
                try:
                    ends = topic_ends(self._settings, self._settings.kafka.topic)
                    truth = tail.poll(time.time())
                except ActivityError as error:
                    trouble = str(error)
                with self._slow.lock:
                    self._slow.ends, self._slow.trouble = ends, trouble
                dead, agreement = self._measure(truth)
                with self._slow.lock:
                    self._slow.dead_letters, self._slow.agreement = dead, agreement
                self._stop.wait(1 if trouble or not dead else _SLOW_SECONDS if agreement else 2)

    def _measure(self, truth: Any) -> tuple[int | None, Agreement | None]:
        import pyarrow.compute as pc

        from activitymodule.jobs.agreement import read_windows
        from activitymodule.models.evaluation.against_truth import compare
        from activitymodule.store.connection import session
        from activitymodule.store.live import count_dead_letters

        try:
            with session(self._settings, read_only=True, statement_seconds=10) as connection:
                dead = count_dead_letters(connection)
                if truth is None or not truth.num_rows:
                    return dead, None
                first = datetime.fromtimestamp(pc.min(truth.column("start_us")).as_py() / 1e6, UTC)
                last = datetime.fromtimestamp(pc.max(truth.column("end_us")).as_py() / 1e6, UTC)
                # windows that are still open have no truth yet: it comes every ten seconds
                windows = read_windows(connection, first, last - timedelta(seconds=1), coverage=0.5)
            found = compare(windows, truth, slide_seconds=self._settings.windows.slide_seconds)
            return dead, found if found.raw.compared else None
        except ServiceUnavailableError:
            return None, None


def _lag(ends: dict[int, tuple[int, int]] | None, scored: dict[int, int]) -> int | None:
    if ends is None:
        return None
    return sum(max(0, end - max(first, scored.get(number, first))) for number, (first, end) in ends.items())


# ---- the picture ------------------------------------------------------------------------------------------


def _rate(snapshot: Snapshot) -> tuple[str, str]:
    """Windows/s and readings/s over the last minute, or over as much of it as there was something; - just after a
    start."""
    pulse = snapshot.pulse
    if pulse is None or not pulse.windows:
        return "0.0", "0"
    windows, readings = pulse.windows_per_second, pulse.readings_per_second
    return "-" if windows is None else f"{windows:,.1f}", "-" if readings is None else f"{readings:,.0f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return (
        f"{value:.2f} s" if value < 100 else f"{value:,.0f} s" if value < 7200 else f"{value / 3600:,.1f} h"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _colour(label: str, labels: tuple[str, ...]) -> str:
    if not label:
        return "grey50"
    place = labels.index(label) if label in labels else sum(label.encode())
    return _COLOURS[place % len(_COLOURS)]


def line(snapshot: Snapshot) -> str:
    """One line for a log: what the view shows, without its last predictions."""
    from activitymodule.jobs.output import safe

    at = time.strftime("%H:%M:%S", time.gmtime())
    trouble = [t for t in (snapshot.store_trouble, snapshot.kafka_trouble) if t]
    pulse = snapshot.pulse
    if pulse is None:
        return f"{at} {'; '.join(trouble) or 'nothing yet'}"
    counts = sorted(pulse.watches.items(), key=lambda pair: (-pair[1], pair[0]))
    per_second, readings = _rate(snapshot)
    parts = [
        f"{sum(pulse.watches.values()):,} watches: "
        + (
            ", ".join(f"{safe(name) or 'none'} {n:,}" for name, n in counts)
            or "none heard of in the last minute"
        ),
        f"{per_second} windows/s",
        f"{readings} readings/s",
        f"latency p50 {_seconds(pulse.latency_p50_seconds)} p95 {_seconds(pulse.latency_p95_seconds)}",
        f"lag {'-' if snapshot.lag is None else format(snapshot.lag, ',')}",
        f"dead letters {'-' if snapshot.dead_letters is None else format(snapshot.dead_letters, ',')}",
        f"champion {pulse.model_version or '-'}",
    ]
    if snapshot.agreement is not None:
        parts.append(
            f"agrees with the truth raw {_share(snapshot.agreement.raw.accuracy)} "
            f"smoothed {_share(snapshot.agreement.smoothed.accuracy)} of {snapshot.agreement.raw.compared:,}"
        )
    return f"{at} " + " | ".join(parts + trouble)


def as_json(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot for scripts."""
    from activitymodule.jobs.output import plain

    found, pulse = asdict(snapshot), snapshot.pulse
    for name in ("windows_per_second", "readings_per_second"):
        rate = getattr(pulse, name) if pulse is not None and pulse.windows else 0.0
        found[name] = None if rate is None else round(rate, 3)
    result: dict[str, Any] = plain(found)
    return result


def render(snapshot: Snapshot, width: int, height: int) -> RenderableType:
    """The view as one renderable that fits into width x height."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    pulse = snapshot.pulse
    parts: list[RenderableType] = [_heading(snapshot, width)]
    used = 2
    for trouble in (snapshot.store_trouble, snapshot.kafka_trouble):
        if trouble:
            parts.append(Text(f" ! {trouble}", style="bold red"))
            used += 1 + len(trouble) // max(1, width - 4)
    if pulse is None:
        parts.append(
            Text("\n   waiting for the store\n" if snapshot.store_trouble else "\n   looking\n", style="dim")
        )
        return Group(*parts)
    wide = width >= 92
    labels = len(set(pulse.labels) | set(pulse.watches))
    if wide:
        side = Table.grid(padding=(0, 1), expand=True)
        side.add_column(ratio=1)
        side.add_column(width=40)
        side.add_row(_activities(pulse, width - 45, max(labels, 10) + 2), _figures(snapshot))
        parts.append(side)
        used += max(labels, 10) + 2
    else:
        parts += [_activities(pulse, width - 4), _figures(snapshot)]
        used += labels + 2 + 12
    room = height - used - 5
    if room >= 1 and pulse.recent:
        parts.append(_last(pulse, room, width))
    return Group(*parts)


def _heading(snapshot: Snapshot, width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    heading = Table.grid(expand=True)
    heading.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    heading.add_column(justify="right", no_wrap=True)
    left = Text(" activity watch", style="bold")
    if width >= 60:
        left.append(f"  {snapshot.topic}", style="dim")
    heading.add_row(left, Text(time.strftime("%Y-%m-%d %H:%M:%S UTC ", time.gmtime()), style="dim"))
    return heading


def _bar(share: float, width: int) -> str:
    """A bar of eighths: share 1 fills the width."""
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def _activities(pulse: Pulse, width: int, height: int | None = None) -> RenderableType:
    from rich import box
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from activitymodule.jobs.output import safe

    total = sum(pulse.watches.values())
    # in the order of the labels, so that lines do not change places under the eye
    others = sorted(set(pulse.watches) - set(pulse.labels), key=lambda name: (not name, name))
    names = [*pulse.labels, *others]
    longest = min(max([11, *(len(safe(name)) for name in names)]), max(11, width // 3))
    room = max(4, width - longest - 16)
    most = max(pulse.watches.values(), default=0) or 1
    table = Table.grid(padding=(0, 1))
    table.add_column(width=longest, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", width=5)
    table.add_column(justify="right", width=4)
    table.add_column(width=room, no_wrap=True)
    for name in names:
        n = pulse.watches.get(name, 0)
        colour = _colour(name, pulse.labels)
        table.add_row(
            Text(safe(name) or "no activity", style=colour if n else "dim"),
            Text(f"{n:,}", style="bold" if n else "dim"),
            Text(f"{n / total:.0%}" if n else "", style="dim"),
            Text(_bar(n / most, room), style=colour),
        )
    if not names:
        table.add_row(Text("-", style="dim"), "", "", "")
    title = f"[b]{total:,}[/b] watches now" if total else "no watch in the last minute"
    return Panel(
        table,
        title=title,
        title_align="left",
        box=box.ROUNDED,
        border_style="grey50",
        padding=(0, 1),
        height=height,
    )


def _figures(snapshot: Snapshot) -> RenderableType:
    from rich import box
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    pulse = snapshot.pulse
    assert pulse is not None
    per_second, readings = _rate(snapshot)
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, ratio=1, overflow="ellipsis")

    def row(name: str, value: str, style: str = "bold") -> None:
        table.add_row(name, Text(value, style=style))

    row("windows/s", per_second)
    row("readings/s", readings)
    latency = f"{_seconds(pulse.latency_p50_seconds)} / {_seconds(pulse.latency_p95_seconds)}"
    slow = (pulse.latency_p95_seconds or 0) > 5
    row("latency p50/p95", latency, "bold yellow" if slow else "bold")
    lag = snapshot.lag
    row("lag, messages", "-" if lag is None else f"{lag:,}", "bold yellow" if (lag or 0) > 10_000 else "bold")
    dead = "-" if snapshot.dead_letters is None else f"{snapshot.dead_letters:,}"
    fresh = pulse.dead_letters_last_minute
    row("dead letters", f"{dead} (+{fresh:,}/min)" if fresh else dead, "bold yellow" if fresh else "bold")
    row("energy, mean", "-" if pulse.kcal_per_min is None else f"{pulse.kcal_per_min:.1f} kcal/min")
    champion = "-" if pulse.model_version is None else f"v{pulse.model_version}"
    if pulse.energy_version is not None:
        champion += f", energy v{pulse.energy_version}"
    row("champion", champion)
    if pulse.batch_id is not None and pulse.batch_started_at is not None:
        ago = (pulse.at - pulse.batch_started_at).total_seconds()
        stale = ago > 30
        row("last batch", f"{pulse.batch_id:,}, {_seconds(ago)} ago", "bold yellow" if stale else "bold")
    else:
        row("last batch", "no activity", "dim")
    found = snapshot.agreement
    if found is None:
        row("agrees with truth", "-", "dim")
        row("  smoothed", "-", "dim")
    else:
        row("agrees with truth", f"{_share(found.raw.accuracy)} of {found.raw.compared:,}", "bold green")
        row("  smoothed", f"{_share(found.smoothed.accuracy)}", "bold green")
    return Panel(
        table, title="last minute", title_align="left", box=box.ROUNDED, border_style="grey50", padding=(0, 1)
    )


def _last(pulse: Pulse, room: int, width: int) -> RenderableType:
    from rich import box
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from activitymodule.jobs.output import safe

    table = Table(box=None, expand=True, padding=(0, 1), header_style="dim", show_edge=False)
    table.add_column("window", no_wrap=True, width=8)
    table.add_column("watch", no_wrap=True, overflow="ellipsis", ratio=2, min_width=8)
    table.add_column("activity", no_wrap=True, overflow="ellipsis", ratio=2, min_width=8)
    table.add_column("", justify="right", width=5)
    roomy, wide = width >= 78, width >= 92
    if wide:
        table.add_column("", no_wrap=True, width=10)
    if roomy:
        table.add_column("smoothed", no_wrap=True, overflow="ellipsis", ratio=2, min_width=8)
        table.add_column("kcal/min", justify="right", width=8)
        table.add_column("latency", justify="right", width=8)

    def cells(one: Recent) -> list[Text]:
        dim = one.activity is None
        colour = _colour(one.activity or "", pulse.labels)
        certain = "" if one.confidence is None else f"{one.confidence:.0%}"
        row = [
            Text(one.window_start.strftime("%H:%M:%S"), style="dim"),
            Text(safe(one.device_id)),
            Text(safe(one.activity or one.reason or "-"), style="dim italic" if dim else colour),
            Text(certain, style="bold"),
        ]
        if wide:
            row.append(Text(_bar(one.confidence or 0.0, 10), style=colour))
        if roomy:
            smoothed = one.smoothed_activity or ""
            row += [
                Text(safe(smoothed) or "-", style=_colour(smoothed, pulse.labels)),
                Text("-" if one.kcal_per_min is None else f"{one.kcal_per_min:.1f}"),
                Text(_seconds(one.latency_seconds), style="dim"),
            ]
        return row

    for one in pulse.recent[:room]:
        table.add_row(*cells(one))
    return Panel(
        table,
        title="last predictions",
        title_align="left",
        box=box.ROUNDED,
        border_style="grey50",
        padding=(0, 0),
    )


# ---- the command ------------------------------------------------------------------------------------------


class _EndedError(Exception):
    """Told to end by a signal: the terminal is put right on the way out."""


def _end(_: int, __: FrameType | None) -> None:
    raise _EndedError


@app.command(epilog="Example: activity watch --seconds 60")
def watch(
    seconds: float = typer.Option(None, min=0.1, help="End after so long; without it Ctrl-C ends the view."),
    interval: float = typer.Option(1.0, min=0.2, help="Seconds between looks."),
    json_lines: bool = typer.Option(False, help="Print one JSON object a look instead of the view."),
    as_plain: bool = typer.Option(
        False, "--plain", help="Print a line every 5 s instead of the view, as in a pipe."
    ),
    picture: Path = typer.Option(None, help="Write the last view as an SVG picture here."),
) -> None:
    """Watch predictions arrive: who does what, throughput, latency, lag, dead letters, agreement with the truth.

    Services may come and go meanwhile: the view says so and goes on.
    """
    from rich.console import Console

    config = settings()
    console = Console()
    deadline = None if seconds is None else time.monotonic() + seconds
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with Watcher(config) as watcher:
            if json_lines:
                _print(watcher, deadline, interval, lambda one: json.dumps(as_json(one), ensure_ascii=False))
            elif as_plain or not console.is_terminal or console.is_dumb_terminal:
                _print(watcher, deadline, max(interval, _LINE_SECONDS), line)
            else:
                _show(watcher, deadline, interval, console)
            if picture is not None:
                _draw(watcher.snapshot(recent=_PICTURE_SIZE[1]), picture)
    except (KeyboardInterrupt, _EndedError):
        pass  # the usual way to end it
    finally:
        signal.signal(signal.SIGTERM, before)


def _draw(snapshot: Snapshot, picture: Path) -> None:
    """The view as it stands, as an SVG."""
    import io

    from rich.console import Console
    from rich.terminal_theme import MONOKAI

    width, height = _PICTURE_SIZE
    console = Console(
        record=True,
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(render(snapshot, width, height))
    svg = console.export_svg(title="activity watch", theme=MONOKAI)
    # whoever looks at it need not fetch a font: the reader's own does
    picture.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


def _sleep(deadline: float | None, interval: float) -> bool:
    """Wait until the next look; False where the time is up."""
    left = interval if deadline is None else min(interval, deadline - time.monotonic())
    if left <= 0:
        return False
    time.sleep(left)
    return deadline is None or time.monotonic() < deadline


def _print(watcher: Watcher, deadline: float | None, interval: float, form: Any) -> None:
    # the slow part answers within a moment; the first line should know it
    if _sleep(deadline, min(1.0, interval)):
        while True:
            print(form(watcher.snapshot()), flush=True)
            if not _sleep(deadline, interval):
                return
    print(form(watcher.snapshot()), flush=True)


def _show(watcher: Watcher, deadline: float | None, interval: float, console: Console) -> None:
    from rich.live import Live

    last = watcher.snapshot()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                width, height = console.size
                last = watcher.snapshot(recent=max(5, height))
                live.update(render(last, width, height), refresh=True)
                if not _sleep(deadline, interval):
                    break
    finally:
        # the alternate screen is gone; what was seen last stays in the terminal
        print(line(last), file=sys.stdout, flush=True)
