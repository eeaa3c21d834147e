"""One watch: what its wearer did in the last hour, kcal and confidence, heart rate where the archive has it."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from html import escape
from typing import Any

import numpy as np
from nicegui import ui

from annotation import charts, context, frame
from annotation.archived import archived_records
from annotation.auth import User
from annotation.feed import FEED, Snapshot, ago
from annotation.pages.live import sheet, watch_link
from annotation.palette import UNKNOWN, colours
from annotation.signals import microseconds

_WINDOWS = """
SELECT window_start, window_end, activity, smoothed_activity, confidence, kcal_per_min, coverage, reason, processed_at
FROM predictions
WHERE device_id = %(device)s
  AND window_start > (SELECT max(window_start) FROM predictions WHERE device_id = %(device)s) - interval '1 hour'
ORDER BY window_start
"""
_BOUTS = """
SELECT activity, bout_start, bout_end, minutes, mean_confidence, kcal FROM bouts_since(%(since)s)
WHERE device_id = %(device)s ORDER BY bout_start DESC LIMIT 30
"""
_PERSON = "SELECT age_years, sex, height_cm, weight_kg, resting_heart_rate_bpm FROM people WHERE device_id = %(device)s"
_WATCHES = """
SELECT device_id, max(window_start) AS newest FROM predictions
WHERE window_start > (SELECT max(window_start) FROM predictions) - interval '10 minutes'
GROUP BY device_id ORDER BY device_id LIMIT 200
"""
_HEART = 6  # index of the heart rate among the channels of a record
_STEP = timedelta(minutes=20)


@frame.page("/watch", "Watch")
async def watch(who: User, device: str = "") -> None:
    sheet()
    device = device[:128]
    if not device:
        await _choose()
        return
    ui.html(f"<b>{escape(device)}</b>", sanitize=False)
    rows = await context.run_query(_WINDOWS, {"device": device})
    if not rows:
        frame.empty(
            "No window of this watch is stored",
            "Its name may be another, or nothing of it was scored yet.",
            ("All watches", "/live"),
        )
        return
    person = await context.run_query(_PERSON, {"device": device})
    figures = ui.html("", sanitize=False).classes("stats")
    with frame.panel("The last hour", note="one colour an activity, smoothed; up to the newest window, UTC"):
        with ui.element("div").classes("scroll-x"):
            strip = ui.html("", sanitize=False).style("min-width: 560px")
        key = ui.html("", sanitize=False)
    with frame.grid(300):
        with frame.panel("Energy", note="kcal/min"):
            kcal = ui.html("", sanitize=False).classes("w-full")
        with frame.panel("How sure the champion was", note="of each window alone"):
            sure = ui.html("", sanitize=False).classes("w-full")
        with frame.panel("Heart rate", note="bpm; from the archive of messages"):
            heart = ui.html('<p class="muted">Looking through the archive ...</p>', sanitize=False).classes(
                "w-full"
            )
    with frame.panel("Bouts", note="stretches of one activity, newest first"):
        bouts = ui.html("", sanitize=False).classes("w-full")
    if person:
        with frame.panel("The wearer, as far as it is known"):
            frame.stats(_person(person[0]))

    seen: dict[str, Any] = {"newest": None}

    async def refresh() -> None:
        rows = await context.run_query(_WINDOWS, {"device": device})
        newest = max((row["processed_at"] for row in rows), default=None)
        if not rows or newest == seen["newest"]:
            return  # nothing new: nothing is sent
        seen["newest"] = newest
        first, last = _stretch(rows)
        figures.set_content(frame.stats_html(_figures(rows)))
        strip.set_content(_strip(rows, first, last))
        labels = {row["smoothed_activity"] or row["activity"] for row in rows} - {None}
        key.set_content(charts.legend(colours(labels)))
        kcal.set_content(_line(rows, "kcal_per_min", "kcal/min over the last hour", charts.SECOND_LINE))
        sure.set_content(_line(rows, "confidence", "Confidence over the last hour", charts.LINE))
        found = await context.run_query(_BOUTS, {"device": device, "since": first})
        bouts.set_content(_bouts(found))

    async def look_at_heart() -> None:
        first, last = _stretch(rows)
        heart.set_content(await context.run(_heart, device, first, last))

    await refresh()
    ui.timer(0.1, look_at_heart, once=True)
    due = {"turn": 0}

    def show(now: Snapshot) -> None:
        # the shared turn is every two seconds; a window comes every ten
        due["turn"] += 1
        if due["turn"] % 3 == 1 and now.trouble is None:
            with figures:
                ui.timer(0, refresh, once=True)

    FEED.watch(show)


async def _choose() -> None:
    rows = await context.run_query(_WATCHES)
    if not rows:
        frame.empty(
            "No watch yet",
            "Start `activity score` and `activity generate`, or send readings from a phone (docs/rest.md).",
            ("Live", "/live"),
        )
        return
    with frame.panel("Watches", note="heard of in the last ten minutes of data"):
        ui.html(
            '<div class="row-line">' + "".join(f'<span class="chip">{watch_link(r["device_id"])}</span>' for r in rows)
            + "</div>",
            sanitize=False,
        )  # fmt: skip


def _stretch(rows: list[dict[str, Any]]) -> tuple[datetime, datetime]:
    """The hour that ends with the newest window, or less where the watch is new."""
    last = rows[-1]["window_end"]
    return max(last - timedelta(hours=1), rows[0]["window_start"] - timedelta(minutes=1)), last


def _figures(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    newest = rows[-1]
    named = next((row for row in reversed(rows) if row["activity"]), newest)
    minutes = [(row["window_end"] - row["window_start"]).total_seconds() / 60 for row in rows]
    burnt = sum(row["kcal_per_min"] * m for row, m in zip(rows, minutes, strict=True) if row["kcal_per_min"])
    age = datetime.now(newest["window_end"].tzinfo) - newest["window_end"]
    return [
        ("Now", named["smoothed_activity"] or named["activity"] or "none", f"{ago(age)} ago"),
        (
            "Sure",
            "-" if named["confidence"] is None else f"{named['confidence']:.0%}",
            "of that window alone",
        ),
        ("Energy", "-" if named["kcal_per_min"] is None else f"{named['kcal_per_min']:.1f}", "kcal/min"),
        ("In the last hour", f"{burnt:,.0f} kcal", f"{len(rows):,} windows"),
        (
            "Without an activity",
            f"{sum(1 for row in rows if row['activity'] is None):,}",
            "too few readings, or no acceleration",
        ),
    ]


def _person(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    def value(name: str, unit: str) -> str:
        return "-" if row[name] is None else f"{row[name]:.0f} {unit}".strip()

    return [
        ("Age", value("age_years", ""), "years"),
        ("Sex", row["sex"] or "-", ""),
        ("Height", value("height_cm", "cm"), ""),
        ("Weight", value("weight_kg", "kg"), ""),
        ("Resting heart rate", value("resting_heart_rate_bpm", "bpm"), ""),
    ]


def _strip(rows: list[dict[str, Any]], first: datetime, last: datetime) -> str:
    labels = {row["smoothed_activity"] or row["activity"] for row in rows} - {None}
    palette = colours(labels)
    spans: list[tuple[float, float, str, str]] = []
    for row in rows:
        label = row["smoothed_activity"] or row["activity"]
        colour = palette.get(label, UNKNOWN)
        start = (row["window_start"] - first).total_seconds()
        end = (row["window_end"] - first).total_seconds()
        what = f"{row['window_start']:%H:%M:%S} {label or row['reason']}"
        # neighbours of one colour are one bar
        if spans and spans[-1][2] == colour and start - spans[-1][1] < 1:
            spans[-1] = (
                spans[-1][0],
                end,
                colour,
                f"{spans[-1][3].split(' to ')[0]} to {row['window_end']:%H:%M:%S}",
            )
        else:
            spans.append((start, end, colour, what))
    return charts.timeline(
        spans, first, last, title="Activities of the last hour; the table of bouts says the same"
    )


def _line(rows: list[dict[str, Any]], name: str, title: str, colour: str) -> str:
    times, values = _with_gaps(rows, name)
    if not any(v is not None for v in values):
        return '<p class="muted">Nothing is known of it in this hour.</p>'
    return charts.lines(times, [(title, values, colour)], title=title)


def _with_gaps(rows: list[dict[str, Any]], name: str) -> tuple[list[datetime], list[float | None]]:
    """A value every slide of the hour; None where there is no window."""
    slide = context.settings().windows.slide_seconds
    known = {row["window_start"]: row[name] for row in rows}
    first, last = rows[0]["window_start"], rows[-1]["window_start"]
    steps = int((last - first).total_seconds() // slide) + 1
    times = [first + timedelta(seconds=slide * i) for i in range(steps)]
    return times, [known.get(at) for at in times]


def _heart(device: str, first: datetime, last: datetime) -> str:
    settings = context.settings()
    pieces = []
    at = first
    while at < last:
        pieces.append(archived_records(settings, device, at, min(at + _STEP, last)))
        at += _STEP
    records = np.concatenate(pieces)
    there = np.isfinite(records["values"][:, _HEART])
    if not there.any():
        return (
            '<p class="muted">The store keeps no heart rate, and the archive of messages has none of this watch for '
            "this hour: it is written every minute or so, where <code>archive.enabled</code> says so and its folder "
            "is of this machine. Or the watch sends none.</p>"
        )
    stamps = records["stamp_us"][there]
    values = records["values"][there, _HEART].astype(float)
    start = microseconds(first)
    place = (stamps - start) // 20_000_000
    count = np.bincount(place)
    means = np.bincount(place, weights=values) / np.maximum(count, 1)
    series = [float(m) if n else None for m, n in zip(means, count, strict=True)]
    times = [first + timedelta(seconds=20 * i) for i in range(len(series))]
    title = f"Heart rate, {values.min():.0f} to {values.max():.0f} bpm"
    return charts.lines(times, [("heart rate", series, "#c31e1e")], title=title, least=None)


@functools.lru_cache(maxsize=64)
def _clock(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes >= 1 else f"{minutes * 60:.0f} s"


def _bouts(rows: list[dict[str, Any]]) -> str:
    return frame.table_html(
        ["From", "To", "Activity", "Long", "Sure", "kcal"],
        [
            [
                f"{row['bout_start']:%H:%M:%S}",
                f"{row['bout_end']:%H:%M:%S}",
                frame.activity_chip(row["activity"]),
                _clock(round(row["minutes"], 2)),
                "-" if row["mean_confidence"] is None else f"{row['mean_confidence']:.0%}",
                "-" if row["kcal"] is None else f"{row['kcal']:.1f}",
            ]
            for row in rows
        ],
        numeric=frozenset({3, 4, 5}),
    )
