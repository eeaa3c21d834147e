"""How `activity watch` draws the state of the stream: a view, a line, a picture."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.terminal_theme import MONOKAI
from rich.text import Text

from activitymodule import files
from activitymodule.jobs.output import safe
from activitymodule.store import live as store
from activitymodule.workflows import live

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

PICTURE_SIZE = (110, 34)
"""Columns and lines of the picture."""


def _rate(snapshot: live.Snapshot) -> tuple[str, str]:
    """Windows/s and readings/s over the last minute, or over the part of it since the start; - just after a start."""
    windows, readings = snapshot.windows_per_second, snapshot.readings_per_second
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


def line(snapshot: live.Snapshot) -> str:
    """One line for a log: what the view shows, without its last predictions."""
    at = time.strftime("%H:%M:%S", time.gmtime())
    trouble = [t for t in (snapshot.store_trouble, snapshot.kafka_trouble) if t]
    pulse = snapshot.pulse
    if pulse is None:
        return f"{at} {'; '.join(trouble) or 'nothing yet'}"
    counts = sorted(pulse.watches.items(), key=lambda pair: (-pair[1], pair[0]))
    per_second, readings = _rate(snapshot)
    parts = [
        f"{sum(pulse.watches.values()):,} watches: "
        + (", ".join(f"{safe(name) or 'none'} {n:,}" for name, n in counts) or "none in the last minute")
        + (f" ({pulse.without_profile:,} without a device profile)" if pulse.without_profile else ""),
        f"{per_second} windows/s",
        f"{readings} readings/s",
        f"latency p50 {_seconds(pulse.live_p50_seconds)} p95 {_seconds(pulse.live_p95_seconds)}"
        + (f", {_seconds(pulse.behind_seconds)} behind" if pulse.behind_seconds is not None else ""),
        f"lag {'-' if snapshot.lag is None else format(snapshot.lag, ',')}",
        f"dead letters {'-' if snapshot.dead_letters is None else format(snapshot.dead_letters, ',')}",
        f"champion {pulse.model_version or '-'}",
    ]
    if snapshot.agreement is not None:
        parts.append(
            f"accuracy raw {_share(snapshot.agreement.raw.accuracy)} "
            f"smoothed {_share(snapshot.agreement.smoothed.accuracy)} of {snapshot.agreement.raw.compared:,}"
        )
    return f"{at} " + " | ".join(parts + trouble)


def render(snapshot: live.Snapshot, width: int, height: int) -> RenderableType:
    """The view as one renderable that fits into width x height."""
    pulse = snapshot.pulse
    parts: list[RenderableType] = [_heading(snapshot, width)]
    used = 2
    for trouble in (snapshot.store_trouble, snapshot.kafka_trouble):
        if trouble:
            parts.append(Text(f" ! {trouble}", style="bold red"))
            used += 1 + len(trouble) // max(1, width - 4)
    if pulse is None:
        parts.append(
            Text(
                "\n   waiting for the store\n" if snapshot.store_trouble else "\n   reading the store\n",
                style="dim",
            )
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


def _heading(snapshot: live.Snapshot, width: int) -> RenderableType:
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


def _activities(pulse: store.Pulse, width: int, height: int | None = None) -> RenderableType:
    total = sum(pulse.watches.values())
    # in the order of the labels, so that lines keep their places
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
    if pulse.without_profile:
        title += f", {pulse.without_profile:,} without a device profile (*)"
    return Panel(
        table,
        title=title,
        title_align="left",
        box=box.ROUNDED,
        border_style="grey50",
        padding=(0, 1),
        height=height,
    )


def _figures(snapshot: live.Snapshot) -> RenderableType:
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
    if pulse.behind_seconds is None:
        latency = f"{_seconds(pulse.live_p50_seconds)} / {_seconds(pulse.live_p95_seconds)}"
        slow = (pulse.live_p95_seconds or 0) > 5
        row("latency p50/p95", latency, "bold yellow" if slow else "bold")
    else:
        row("catching up", f"{_seconds(pulse.behind_seconds)} behind", "bold yellow")
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
    agreement = snapshot.agreement
    if agreement is None:
        row("accuracy", "-", "dim")
        row("  smoothed", "-", "dim")
    else:
        row("accuracy", f"{_share(agreement.raw.accuracy)} of {agreement.raw.compared:,}", "bold green")
        row("  smoothed", f"{_share(agreement.smoothed.accuracy)}", "bold green")
    return Panel(
        table, title="last minute", title_align="left", box=box.ROUNDED, border_style="grey50", padding=(0, 1)
    )


def _last(pulse: store.Pulse, room: int, width: int) -> RenderableType:
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

    def cells(one: store.Recent) -> list[Text]:
        dim = one.activity is None
        colour = _colour(one.activity or "", pulse.labels)
        confidence = "" if one.confidence is None else f"{one.confidence:.0%}"
        row = [
            Text(one.window_start.strftime("%H:%M:%S"), style="dim"),
            Text(safe(one.device_id) + ("" if one.has_profile else " *")),
            Text(safe(one.activity or one.reason or "-"), style="dim italic" if dim else colour),
            Text(confidence, style="bold"),
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


def draw(snapshot: live.Snapshot, path: Path) -> None:
    """The view as an SVG picture."""
    width, height = PICTURE_SIZE
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
    # without the font that the picture would fetch: the reader's own will do
    files.write_text(path, re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))
