"""The fleet now: activities, latency, and the predictions themselves. Updates by itself."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from html import escape

from nicegui import ui

from activitymodule.store.live import Pulse
from annotation import charts, context, frame
from annotation.auth import User
from annotation.feed import BUCKET_SECONDS, FEED, RECENT, Snapshot, ago
from annotation.palette import colours
from annotation.predictions import predictions

_LEAST_BUCKETS = 20
_LOADING = '<p class="muted">Loading ...</p>'
_ICON = (
    '<circle cx="12" cy="12" r="2.5"/><path d="M7.5 7.5a6.4 6.4 0 0 0 0 9M16.5 7.5a6.4 6.4 0 0 1 0 9"/>'
    '<path d="M4.8 4.8a10.2 10.2 0 0 0 0 14.4M19.2 4.8a10.2 10.2 0 0 1 0 14.4"/>'
)


@frame.page("/live", "Live", icon=_ICON, group="Stream", order=30, assets=("fleet.css",))
async def live(_: User) -> None:
    """Renewed by the feed all viewers share."""
    state = ui.html('<span class="live-dot old"></span>Loading ...', sanitize=False).classes("note")
    figures = frame.stats(
        [("Watches", "-", ""), ("Windows", "-", ""), ("Latency", "-", ""), ("Lag", "-", "")]
    )
    with frame.panel("Activities of the fleet", note="watches by activity, last 30 minutes"):
        fleet = ui.html(_LOADING, sanitize=False).classes("w-full")
    with frame.grid(340):
        with frame.panel("Latency", note="from Kafka to the store, windows scored live"):
            latency = ui.html(_LOADING, sanitize=False).classes("w-full")
        with frame.panel("Latest windows"):
            recent = ui.html(_LOADING, sanitize=False).classes("w-full")
    shown: dict[int, str] = {}

    def put(element: ui.html, content: str) -> None:
        # what has not changed is not sent
        if shown.get(element.id) != content:
            shown[element.id] = content
            element.set_content(content)

    def show(now: Snapshot) -> None:
        put(state, state_html(now))
        put(figures, frame.stats_html(figures_of(now)))
        put(fleet, _fleet(now))
        put(latency, latency_html(now))
        put(recent, _recent(now))

    await predictions()
    FEED.watch(show)


def state_html(now: Snapshot) -> str:
    """One line on the state of the stream: live, catching up, idle, or why nothing is known."""
    if now.trouble:
        return f'<span class="live-dot away"></span>{escape(now.trouble)}'
    pulse = now.pulse
    if pulse is None or pulse.batch_started_at is None:
        return (
            '<span class="live-dot old"></span>No batch has been scored yet. Start <code>activity score</code>, and '
            "<code>activity generate</code> if you have no watches."
        )
    age = ago((pulse.at - pulse.batch_started_at).total_seconds())
    champion = f"Model version {escape(pulse.model_version or '?')}"
    if pulse.windows == 0:
        return (
            f'<span class="live-dot old"></span>Idle: no window was written in the last minute; the last batch '
            f"started {age} ago. {champion}. <code>activity score</code> and <code>activity generate</code> start the "
            "stream."
        )
    if pulse.behind_seconds is not None:
        return (
            f'<span class="live-dot old"></span>Catching up: scoring is {ago(pulse.behind_seconds)} behind; '
            f"{pulse.backlog_windows:,} windows of the last minute came from the backlog. {champion}."
        )
    return f'<span class="live-dot"></span>Live. The last batch started {age} ago. {champion}.'


def figures_of(now: Snapshot) -> list[tuple[str, str, str]]:
    """Name, value and explanation of each figure of the page."""
    pulse = now.pulse
    if pulse is None:
        return [("Watches", "-", "")]
    per_second, readings = pulse.windows_per_second, pulse.readings_per_second
    dead = now.dead_letters_last_hour
    return [
        ("Watches", f"{sum(pulse.watches.values()):,}", "in the last minute"),
        ("Windows", "-" if per_second is None else f"{per_second * 60:,.0f}", "written per minute"),
        ("Readings", "-" if readings is None else f"{readings:,.0f}", "per second"),
        _latency_figure(pulse),
        (
            "Unfamiliar",
            "-" if pulse.unfamiliar is None else f"{pulse.unfamiliar:.0%}",
            "of windows; 5 % on watches as in training",
        ),
        ("Lag", "-" if now.lag is None else f"{now.lag:,}", now.lag_trouble or "messages not scored yet"),
        ("Dead letters", "-" if dead is None else f"{dead:,}", "in the last hour"),
    ]


def _latency_figure(pulse: Pulse) -> tuple[str, str, str]:
    def time(value: float | None) -> str:
        return "-" if value is None else f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"

    if pulse.behind_seconds is not None:
        return "Latency", "-", f"catching up, {ago(pulse.behind_seconds)} behind"
    return "Latency", time(pulse.live_p50_seconds), f"median; 95th percentile {time(pulse.live_p95_seconds)}"


def _fleet(now: Snapshot) -> str:
    buckets = now.buckets()
    found = {b: now.counts.get(b, {}) for b in buckets}
    if not any(found.values()):
        return (
            '<div class="empty"><h2>No windows in the last 30 minutes</h2><p>This chart fills as windows are scored.'
            "</p></div>"
        )
    # a stream that has just begun fills a third of the chart soon
    begun = next(i for i, b in enumerate(buckets) if found[b])
    buckets = buckets[min(begun, len(buckets) - _LEAST_BUCKETS) :]
    total: Counter[str] = Counter()
    for one in found.values():
        total.update(one)
    per_watch = BUCKET_SECONDS / context.settings().windows.slide_seconds
    order = [label for label, _ in total.most_common()]
    palette = colours(order)
    values = {label: [found[b].get(label, 0) / per_watch for b in buckets] for label in order}
    times = [datetime.fromtimestamp(b, UTC) for b in buckets]
    latest = next((found[b] for b in reversed(buckets) if found[b]), {})
    chart = charts.stacked(
        times, values, palette, title="Watches by activity over the last 30 minutes, a bar every 30 seconds"
    )
    more = {label: f"{latest.get(label, 0) / per_watch:,.0f}" for label in order}
    return f'<div class="scroll-x">{chart}</div>' + charts.legend(
        {label: palette[label] for label in order}, more
    )


def latency_html(now: Snapshot) -> str:
    """The chart of the live latency; a sentence while there is none."""
    buckets = now.buckets()
    if not any(b in now.latency for b in buckets):
        if now.pulse is None or not now.pulse.windows:
            return '<p class="muted">No window was written in the last 30 minutes.</p>'
        if now.pulse.behind_seconds is not None:
            return '<p class="muted">Catching up: no window has been scored live yet.</p>'
        return '<p class="muted">The chart begins after 30 seconds of windows.</p>'
    begun = next(i for i, b in enumerate(buckets) if b in now.latency)
    buckets = buckets[min(begun, len(buckets) - _LEAST_BUCKETS) :]
    times = [datetime.fromtimestamp(b, UTC) for b in buckets]
    held = [now.latency.get(b) for b in buckets]
    chart = charts.lines(
        times,
        [
            ("95th percentile", [one.p95 if one else None for one in held], charts.SECOND_LINE),
            ("median", [one.p50 if one else None for one in held], charts.LINE),
        ],
        title="Latency over the last 30 minutes",
        unit=" s",
        height=220,
    )
    return chart + charts.legend({"median": charts.LINE, "95th percentile": charts.SECOND_LINE})


def _recent(now: Snapshot) -> str:
    if now.pulse is None or not now.pulse.recent:
        return '<p class="muted">No predictions yet.</p>'
    rows = [
        [
            frame.watch_link(one.device_id),
            frame.activity_chip(one.smoothed_activity or one.activity)
            if one.activity
            else f'<span class="muted">{escape(one.reason or "")}</span>',
            "-" if one.confidence is None else f"{one.confidence:.0%}",
            "-" if one.kcal_per_min is None else f"{one.kcal_per_min:.1f}",
        ]
        for one in now.pulse.recent[:RECENT]
    ]
    return frame.table_html(["Watch", "Activity", "Confidence", "kcal/min"], rows, numeric=frozenset({2, 3}))
