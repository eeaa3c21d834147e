"""One watch: activities, energy, confidence and heart rate of its last hour; spans of time that a person labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from html import escape
from urllib.parse import quote

import numpy as np
from nicegui import ui

from activitymodule.store.audit import HELD_BACK
from activitymodule.store.devices import device_of
from activitymodule.store.labels import offered_labels
from activitymodule.store.participants import Participant, worn_now_by
from activitymodule.store.views import (
    Bout,
    WatchWindow,
    bouts_of,
    last_hour_of,
    recent_watches,
)
from activitymodule.windows.packing import CHANNELS
from annotation import charts, context, frame, span_panel
from annotation.archived import archived_records
from annotation.auth import User
from annotation.feed import FEED, Snapshot, ago
from annotation.pages.devices import model_chip
from annotation.palette import UNKNOWN, colours
from annotation.signals import microseconds

_HEART_RATE = CHANNELS.index("heart_rate")
_HEART_SECONDS = 20  # a point of the chart is the mean of so many
_STEP = timedelta(minutes=20)
_WIDTH = 300  # of the small charts


@frame.page("/watch", "Watch", assets=("fleet.css", *span_panel.ASSETS))
async def watch(who: User, device: str = "") -> None:
    """The watch of the address, or the list of watches to choose one."""
    device = device[:128]
    if not device:
        await _choose()
        return
    known = await context.run_read(lambda connection: device_of(connection, device))
    ui.html(
        f'<b>{escape(device)}</b> <a href="/device-models?device={quote(device)}">'
        f"{model_chip(known.device_model if known else None)}</a>",
        sanitize=False,
    )
    windows = await context.run_read(lambda connection: last_hour_of(connection, device))
    if not windows:
        frame.empty(
            "No window of this watch is stored",
            "Check the name, or wait until its first window is scored.",
            ("All watches", "/watch"),
        )
        return
    wearer = await context.run_read(lambda connection: worn_now_by(connection, device))
    shown = _Shown(device)
    if wearer is not None:
        with frame.panel("Wearer"):
            ui.html(_wearer(wearer, who), sanitize=False)
    await shown.refresh()
    config = context.settings()
    offered = await context.run_read(
        lambda connection: offered_labels(connection, config.registry.classifier)
    )
    span_panel.span_panel(device, (*offered[0], *offered[1]), config.windows.slide_seconds)

    async def look_at_heart() -> None:
        first, last = _stretch(windows)
        shown.heart.set_content(await context.run(_heart, device, first, last))

    ui.timer(0.1, look_at_heart, once=True)
    turns = {"n": 0}

    def show(now: Snapshot) -> None:
        # the shared turn is every two seconds; a window comes every ten
        turns["n"] += 1
        if turns["n"] % 3 == 1 and now.trouble is None:
            with shown.figures:
                ui.timer(0, shown.refresh, once=True)

    FEED.watch(show)


class _Shown:
    """The parts of the page that are renewed."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.newest: datetime | None = None
        self.figures = ui.html("", sanitize=False).classes("stats")
        with frame.panel(
            "Last hour",
            note="smoothed activities; grey: none, or an audit window without its label; times in UTC",
        ):
            with ui.element("div").classes("scroll-x"):
                self.strip = ui.html("", sanitize=False).style("min-width: 560px")
            self.key = ui.html("", sanitize=False)
        with frame.grid(300):
            with frame.panel("Energy", note="kcal/min"):
                self.kcal = ui.html("", sanitize=False).classes("w-full")
            with frame.panel("Confidence", note="of each window, unsmoothed"):
                self.confidence = ui.html("", sanitize=False).classes("w-full")
            with frame.panel("Familiarity", note="how near to the training; under 5 %: unfamiliar"):
                self.familiarity = ui.html("", sanitize=False).classes("w-full")
            with frame.panel("Heart rate", note="bpm, from the message archive"):
                self.heart = ui.html('<p class="muted">Loading ...</p>', sanitize=False).classes("w-full")
        with frame.panel(
            "Bouts",
            note="periods of one activity, newest first; not those with an audit window that waits for its label",
        ):
            self.bouts = ui.html("", sanitize=False).classes("w-full")

    async def refresh(self) -> None:
        """Read the store; nothing is sent if there is no new window."""
        windows = await context.run_read(lambda connection: last_hour_of(connection, self.device))
        newest = max((one.processed_at for one in windows), default=None)
        if not windows or newest == self.newest:
            return
        self.newest = newest
        first, last = _stretch(windows)
        self.figures.set_content(frame.stats_html(_figures(windows)))
        self.strip.set_content(_strip(windows, first, last))
        self.key.set_content(charts.legend(colours({one.label for one in windows if one.label})))
        self.kcal.set_content(
            _line(windows, lambda one: one.kcal_per_min, "kcal/min in the last hour", charts.SECOND_LINE)
        )
        self.confidence.set_content(
            _line(windows, lambda one: one.confidence, "Confidence in the last hour", charts.LINE)
        )
        self.familiarity.set_content(
            _line(windows, lambda one: one.familiarity, "Familiarity in the last hour", charts.LINE)
        )
        self.bouts.set_content(
            _bouts(await context.run_read(lambda connection: bouts_of(connection, self.device, first)))
        )


async def _choose() -> None:
    found = await context.run_read(recent_watches)
    if not found:
        frame.empty(
            "No watches yet",
            "Start `activity score` and `activity generate`, or send readings from a phone (docs/rest.md).",
            ("Live", "/live"),
        )
        return
    with frame.panel("Watches", note="with a window in the last ten minutes of data"):
        links = "".join(f'<span class="chip">{frame.watch_link(device)}</span>' for device in found)
        ui.html(f'<div class="row-line">{links}</div>', sanitize=False)


def _stretch(windows: Sequence[WatchWindow]) -> tuple[datetime, datetime]:
    """The hour that ends with the newest window, or less if the watch is new."""
    last = windows[-1].window_end
    return max(last - timedelta(hours=1), windows[0].window_start - timedelta(minutes=1)), last


def _figures(windows: Sequence[WatchWindow]) -> list[tuple[str, str, str]]:
    newest = windows[-1]
    named = next((one for one in reversed(windows) if one.activity), newest)
    kcal = sum(
        one.kcal_per_min * (one.window_end - one.window_start).total_seconds() / 60
        for one in windows
        if one.kcal_per_min
    )
    age = datetime.now(newest.window_end.tzinfo) - newest.window_end
    return [
        ("Activity", named.label or "none", f"{ago(age)} ago"),
        (
            "Confidence",
            "-" if named.confidence is None else f"{named.confidence:.0%}",
            "of that window; decided" if named.decided else "of that window; not decided",
        ),
        ("Familiarity", frame.familiarity(named.familiarity), "of that window; under 5 %: unfamiliar"),
        ("Energy", "-" if named.kcal_per_min is None else f"{named.kcal_per_min:.1f}", "kcal/min"),
        ("In the last hour", f"{kcal:,.0f} kcal", f"{len(windows):,} windows"),
        (
            "Without an activity",
            f"{sum(1 for one in windows if one.activity is None and one.reason != HELD_BACK):,}",
            "windows with too few readings",
        ),
    ]


def _wearer(person: Participant, who: User) -> str:
    """Annotators see the pseudonym alone."""
    if not who.is_admin:
        return f"<b>{escape(person.participant)}</b>"
    known = person.details

    def value(number: float | None, unit: str) -> str:
        return "-" if number is None else f"{number:.0f} {unit}".strip()

    figures = [
        ("Age", value(known.age_years, ""), "years"),
        ("Sex", known.sex or "-", ""),
        ("Height", value(known.height_cm, "cm"), ""),
        ("Weight", value(known.weight_kg, "kg"), ""),
        ("Resting heart rate", value(known.resting_heart_rate_bpm, "bpm"), ""),
    ]
    link = (
        f'<a href="/people?participant={quote(person.participant, safe="")}">{escape(person.participant)}</a>'
    )
    return f'{link}<div class="stats">{frame.stats_html(figures)}</div>'


def _strip(windows: Sequence[WatchWindow], first: datetime, last: datetime) -> str:
    palette = colours({one.label for one in windows if one.label})
    spans: list[tuple[float, float, str, str]] = []
    for one in windows:
        colour = palette[one.label] if one.label else UNKNOWN
        start = (one.window_start - first).total_seconds()
        end = (one.window_end - first).total_seconds()
        # neighbours of one colour are one bar
        if spans and spans[-1][2] == colour and start - spans[-1][1] < 1:
            before = spans[-1]
            what = f"{before[3].split(' to ')[0]} to {one.window_end:%H:%M:%S}"
            spans[-1] = (before[0], end, colour, what)
        else:
            spans.append((start, end, colour, f"{one.window_start:%H:%M:%S} {one.label or one.reason}"))
    return charts.timeline(
        spans, first, last, title="Activities of the last hour; the table of bouts lists the same"
    )


def _line(
    windows: Sequence[WatchWindow], value: Callable[[WatchWindow], float | None], title: str, colour: str
) -> str:
    """A chart with a value every slide of the hour, and gaps where there is no window."""
    slide = context.settings().windows.slide_seconds
    known = {one.window_start: value(one) for one in windows}
    first, last = windows[0].window_start, windows[-1].window_start
    steps = int((last - first).total_seconds() // slide) + 1
    times = [first + timedelta(seconds=slide * i) for i in range(steps)]
    values = [known.get(at) for at in times]
    if not any(v is not None for v in values):
        return '<p class="muted">No values in this hour.</p>'
    return charts.lines(times, [(title, values, colour)], title=title, width=_WIDTH)


def _heart(device: str, first: datetime, last: datetime) -> str:
    config = context.settings()
    pieces = []
    at = first
    while at < last:
        pieces.append(archived_records(config, device, at, min(at + _STEP, last)))
        at += _STEP
    records = np.concatenate(pieces)
    there = np.isfinite(records["values"][:, _HEART_RATE])
    if not there.any():
        return (
            '<p class="muted">The message archive has no heart rate of this watch for this hour. Either the watch '
            "sends none, or the archive is off (<code>archive.enabled</code>), not yet written, or not readable from "
            "this machine.</p>"
        )
    stamps = records["stamp_us"][there]
    values = records["values"][there, _HEART_RATE].astype(float)
    place = (stamps - microseconds(first)) // (_HEART_SECONDS * 1_000_000)
    count = np.bincount(place)
    means = np.bincount(place, weights=values) / np.maximum(count, 1)
    series = [float(m) if n else None for m, n in zip(means, count, strict=True)]
    times = [first + timedelta(seconds=_HEART_SECONDS * i) for i in range(len(series))]
    title = f"Heart rate, {values.min():.0f} to {values.max():.0f} bpm"
    return charts.lines(
        times, [("heart rate", series, charts.HEART_LINE)], title=title, least=None, width=_WIDTH
    )


def _duration(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes >= 1 else f"{minutes * 60:.0f} s"


def _bouts(bouts: Sequence[Bout]) -> str:
    return frame.table_html(
        ["From", "To", "Activity", "Duration", "Confidence", "kcal"],
        [
            [
                f"{one.bout_start:%H:%M:%S}",
                f"{one.bout_end:%H:%M:%S}",
                frame.activity_chip(one.activity),
                _duration(one.minutes),
                "-" if one.mean_confidence is None else f"{one.mean_confidence:.0%}",
                "-" if one.kcal is None else f"{one.kcal:.1f}",
            ]
            for one in bouts
        ],
        numeric=frozenset({3, 4, 5}),
    )
