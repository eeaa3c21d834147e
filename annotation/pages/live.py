"""The fleet now: what it does, how fast windows are scored, and the predictions themselves. Updates by itself."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import quote

from nicegui import ui

from activitymodule.errors import ActivityError
from annotation import charts, context, frame
from annotation.auth import User
from annotation.feed import BUCKET_SECONDS, FEED, Snapshot, ago
from annotation.palette import UNKNOWN, colours

PAGE = 25
_LEAST_BUCKETS = 20
_ROWS = """
SELECT device_id, window_start, activity, confidence, smoothed_activity, kcal_per_min, coverage, conformal_set, reason,
       model_version
FROM predictions
WHERE window_end <= now() - interval '5 seconds' AND (%(device)s = '' OR device_id LIKE %(device)s)
  AND (%(activity)s = '' OR coalesce(smoothed_activity, activity) = %(activity)s
       OR (%(activity)s = 'none' AND activity IS NULL))
  AND (%(doubtful)s = false OR confidence < 0.6)
  AND (%(before)s::timestamptz IS NULL OR (window_start, device_id) < (%(before)s, %(before_device)s))
ORDER BY window_start DESC, device_id DESC
LIMIT %(limit)s
"""
_LABELS = "SELECT labels FROM model_versions ORDER BY registered_at DESC LIMIT 1"
_ESCAPED = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def sheet() -> None:
    """The style sheet of the stream's pages."""
    ui.add_head_html(f'<link rel="stylesheet" href="{frame.asset("fleet.css")}">')


def watch_link(device: str) -> str:
    """A link to a watch's page."""
    return f'<a href="/watch?device={quote(device, safe="")}">{escape(device)}</a>'


@frame.page("/live", "Live")
async def live(who: User) -> None:
    sheet()
    state = ui.html('<span class="live-dot old"></span>Looking ...', sanitize=False).classes("note")
    figures = frame.stats(
        [("Watches", "-", ""), ("Windows", "-", ""), ("Latency", "-", ""), ("Lag", "-", "")]
    )
    with frame.panel("What the fleet does", note="watches by activity, last 30 minutes"):
        fleet = ui.html('<p class="muted">Looking ...</p>', sanitize=False).classes("w-full")
    with frame.grid(340):
        with frame.panel(
            "From Kafka to the store", note="whole windows; seconds at the median and the 95th percentile"
        ):
            latency = ui.html('<p class="muted">Looking ...</p>', sanitize=False).classes("w-full")
        with frame.panel("Just now"):
            recent = ui.html('<p class="muted">Looking ...</p>', sanitize=False).classes("w-full")
    shown: dict[int, str] = {}

    def put(element: ui.html, content: str) -> None:
        # what has not changed is not sent
        if shown.get(element.id) != content:
            shown[element.id] = content
            element.set_content(content)

    def show(now: Snapshot) -> None:
        put(state, _state(now))
        put(figures, frame.stats_html(_figures(now)))
        put(fleet, _fleet(now))
        put(latency, _latency(now))
        put(recent, _recent(now))

    await _predictions()
    FEED.watch(show)


def _state(now: Snapshot) -> str:
    if now.trouble:
        return f'<span class="live-dot away"></span>{escape(now.trouble)}'
    pulse = now.pulse
    if pulse is None or pulse.batch_started_at is None:
        return (
            '<span class="live-dot old"></span>No batch has been scored yet. Start <code>activity score</code>, and '
            "<code>activity generate</code> where you have no watches."
        )
    age = (pulse.at - pulse.batch_started_at).total_seconds()
    champion = f"version {escape(pulse.model_version or '?')} serves"
    if pulse.windows == 0:
        return (
            f'<span class="live-dot old"></span>Nothing came in the last minute; the last batch began {ago(age)} ago. '
            f"{champion}. <code>activity score</code> and <code>activity generate</code> make it flow."
        )
    return f'<span class="live-dot"></span>Live; the last batch began {ago(age)} ago, {champion}.'


def _figures(now: Snapshot) -> list[tuple[str, str, str]]:
    pulse = now.pulse
    if pulse is None:
        return [("Watches", "-", "")]
    per_second, readings = pulse.windows_per_second, pulse.readings_per_second

    def time(value: float | None) -> str:
        return "-" if value is None else f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"

    return [
        ("Watches", f"{sum(pulse.watches.values()):,}", "heard of in the last minute"),
        ("Windows", "-" if per_second is None else f"{per_second * 60:,.0f}", "written a minute"),
        ("Readings", "-" if readings is None else f"{readings:,.0f}", "a second, in those windows"),
        ("Latency", time(pulse.latency_p50_seconds), f"median; {time(pulse.latency_p95_seconds)} at 95 %"),
        ("Lag", "-" if now.lag is None else f"{now.lag:,}", "messages not scored yet"),
        (
            "Dead letters",
            "-" if now.dead_letters_last_hour is None else f"{now.dead_letters_last_hour:,}",
            "in the last hour",
        ),
    ]


def _fleet(now: Snapshot) -> str:
    buckets = now.buckets()
    found = {b: now.counts.get(b, {}) for b in buckets}
    if not any(found.values()):
        return (
            '<div class="empty"><h2>Nothing in the last half hour</h2><p>As soon as windows are scored, this shows '
            "what the watches do.</p></div>"
        )
    # a stream that has just begun fills a third of the chart soon
    begun = next(i for i, b in enumerate(buckets) if found[b])
    buckets = buckets[min(begun, len(buckets) - _LEAST_BUCKETS) :]
    total: Counter[str] = Counter()
    for one in found.values():
        total.update(one)
    slide = context.settings().windows.slide_seconds
    per_watch = BUCKET_SECONDS / slide
    order = [label for label, _ in total.most_common()]
    palette = colours(order)
    values = {label: [found[b].get(label, 0) / per_watch for b in buckets] for label in order}
    times = [datetime.fromtimestamp(b, UTC) for b in buckets]
    latest = next((found[b] for b in reversed(buckets) if found[b]), {})
    chart = charts.stacked(
        times, values, palette, title="Watches by activity over the last 30 minutes, a bar every 30 seconds"
    )
    more = {label: f"{latest.get(label, 0) / per_watch:,.0f}" for label in order}
    return chart + charts.legend({label: palette[label] for label in order}, more)


def _latency(now: Snapshot) -> str:
    buckets = now.buckets()
    if not any(b in now.latency for b in buckets):
        if now.pulse is not None and now.pulse.windows:
            return '<p class="muted">The first windows are written; half a minute of them makes a point.</p>'
        return '<p class="muted">No window was written in the last half hour.</p>'
    begun = next(i for i, b in enumerate(buckets) if b in now.latency)
    buckets = buckets[min(begun, len(buckets) - _LEAST_BUCKETS) :]
    times = [datetime.fromtimestamp(b, UTC) for b in buckets]
    series: list[tuple[str, list[float | None], str]] = [
        ("95 %", [now.latency[b][1] if b in now.latency else None for b in buckets], charts.SECOND_LINE),
        ("median", [now.latency[b][0] if b in now.latency else None for b in buckets], charts.LINE),
    ]
    return charts.lines(times, series, title="Latency over the last 30 minutes", unit=" s") + charts.legend(
        {"median": charts.LINE, "95 %": charts.SECOND_LINE}
    )


def _recent(now: Snapshot) -> str:
    if now.pulse is None or not now.pulse.recent:
        return '<p class="muted">No predictions yet.</p>'
    rows = [
        [
            watch_link(one.device_id),
            frame.activity_chip(one.smoothed_activity or one.activity)
            if one.activity
            else f'<span class="muted">{escape(one.reason or "")}</span>',
            "-" if one.confidence is None else f"{one.confidence:.0%}",
            "-" if one.kcal_per_min is None else f"{one.kcal_per_min:.1f}",
        ]
        for one in now.pulse.recent[:8]
    ]
    return frame.table_html(["Watch", "Activity", "Sure", "kcal/min"], rows, numeric=frozenset({2, 3}))


# ---- the table ----------------------------------------------------------------------------------------------------


async def _predictions() -> None:
    found = await context.run_query(_LABELS)
    labels = list(found[0]["labels"]) if found else []
    pages: list[tuple[Any, str]] = [(None, "")]

    with frame.panel("Predictions", note="of windows that have ended; times are UTC"):
        with ui.element("div").classes("filters w-full"):
            device = (
                ui.input("Watch begins with")
                .props('outlined dense clearable maxlength="128"')
                .classes("field")
            )
            activity = ui.select(
                {"": "any", **{label: label for label in labels}, "none": "no activity"}, value="", label="Activity"
            ).props("outlined dense options-dense").classes("field")  # fmt: skip
            doubtful = ui.checkbox("less than 60 % sure")
        body = ui.html("", sanitize=False).classes("w-full")
        with ui.element("div").classes("row-line"):
            newer = ui.button("Newer", color=None).classes("button small").props("flat no-caps")
            older = ui.button("Older", color=None).classes("button small").props("flat no-caps")

    shown: dict[str, Any] = {"turn": 0, "filters": None, "next": None}

    def filters() -> tuple[str, str, bool]:
        return (device.value or "").strip(), activity.value or "", bool(doubtful.value)

    async def load() -> None:
        before, before_device = pages[-1]
        wanted, chosen, unsure = filters()
        shown["turn"] += 1
        turn = shown["turn"]
        shown["filters"], shown["next"] = filters(), None
        asked = {
            "device": wanted.translate(_ESCAPED) + "%" if wanted else "",
            "activity": chosen,
            "doubtful": unsure,
            "before": before,
            "before_device": before_device,
            "limit": PAGE + 1,
        }
        try:
            rows = await context.run_query(_ROWS, asked)
        except ActivityError:
            shown["filters"] = None  # so that the same may be asked again
            raise
        if turn != shown["turn"]:
            return  # something else was asked for meanwhile
        more, rows = len(rows) > PAGE, rows[:PAGE]
        body.set_content(_table(rows) if rows else _no_rows(bool(wanted or chosen or unsure)))
        newer.set_enabled(len(pages) > 1)
        older.set_enabled(more)
        shown["next"] = (rows[-1]["window_start"], rows[-1]["device_id"]) if more else None

    async def first() -> None:
        if filters() == shown["filters"]:
            return  # leaving the field alone is no reason to go back to the first page
        del pages[1:]
        await load()

    async def go_older() -> None:
        if shown["next"] is not None:
            pages.append(shown["next"])
            await load()

    async def go_newer() -> None:
        if len(pages) > 1:
            pages.pop()
        await load()

    device.on("keydown.enter", first)
    device.on("blur", first)
    device.on("clear", first)
    activity.on_value_change(first)
    doubtful.on_value_change(first)
    older.on_click(go_older)
    newer.on_click(go_newer)
    await load()


def _no_rows(filtered: bool) -> str:
    if filtered:
        return '<div class="empty"><h2>No prediction is like that</h2><p>Ask for less above.</p></div>'
    return (
        '<div class="empty"><h2>No predictions yet</h2><p>The scoring job writes them: <code>activity score</code>; '
        "<code>activity generate</code> sends a synthesised fleet.</p></div>"
    )


def _table(rows: list[dict[str, Any]]) -> str:
    return frame.table_html(
        ["Window", "Watch", "Activity", "Alone", "Sure", "Could be", "kcal/min", "Coverage", "Version"],
        [
            [
                f"{row['window_start']:%m-%d %H:%M:%S}",
                watch_link(row["device_id"]),
                frame.activity_chip(row["smoothed_activity"] or row["activity"])
                if row["activity"]
                else f'<span class="chip"><span class="dot" style="--c:{UNKNOWN}"></span>'
                f"{escape(row['reason'] or 'none')}</span>",
                escape(row["activity"] or "-"),
                "-" if row["confidence"] is None else f"{row['confidence']:.0%}",
                escape(", ".join(row["conformal_set"] or [])) or "-",
                "-" if row["kcal_per_min"] is None else f"{row['kcal_per_min']:.1f}",
                f"{row['coverage']:.0%}",
                escape(row["model_version"] or "-"),
            ]
            for row in rows
        ],
        numeric=frozenset({4, 6, 7}),
    )
