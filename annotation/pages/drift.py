"""Drift: compares current readings with the champion's training data, and shows alarms and the recommendation."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from nicegui import ui

from activitymodule.monitoring.measures import feature_measures, title_of
from activitymodule.monitoring.report import ALL, Comparison, FeatureDrift
from activitymodule.monitoring.slices import slices_table
from activitymodule.store.drift import Alarm, alarms
from activitymodule.workflows.drift import LATEST_PAGE, reports_folder
from annotation import charts, context, frame
from annotation.auth import User
from annotation.current import drift_now

_SHOWN = 8
_ICON = '<path d="M3 17c3 0 3-9 6-9s3 9 6 9 3-12 6-12M3 21h18"/>'


@frame.page("/drift", "Drift", icon=_ICON, group="Stream", order=50, assets=("fleet.css",))
async def drift(who: User) -> None:
    """The report, the alarms, the features with the largest drift."""
    waiting = frame.text("Loading ...", "muted")
    report = await drift_now()
    tripped = await context.run_read(lambda connection: alarms(connection, limit=60))
    waiting.delete()
    found = report.comparison
    await _page_link()
    if found is None:
        frame.notice(report.summary)
        frame.empty(
            "No drift report yet",
            "The scoring job counts complete windows. From "
            f"{context.settings().monitoring.least_windows} windows on, this page compares them with the champion's "
            "training data.",
            ("Open Live", "/live"),
        )
        _alarms(tripped)
        return
    frame.notice(report.summary, "bad" if report.retrain_recommended else "warn" if found.tripped else "good")
    if report.retrain_recommended and who.is_admin:
        ui.html('<a class="button primary" href="/models#retrain">Go to retraining</a>', sanitize=False)
    minutes = context.settings().monitoring.look_back_minutes
    frame.stats(
        [
            ("Windows", f"{found.windows:,}", f"of {found.watches:,} watches, {minutes:g} minutes"),
            *(
                (one.title, one.value_text, f"{one.detail}; threshold {one.bar_text}")
                for one in found.measures
            ),
        ]
    )
    _alarms(tripped)
    if report.slices:
        with frame.panel(
            "By device model and age band", note="activity rates and confidence beside those of training"
        ):
            columns, rows = slices_table(report.slices)
            frame.table(
                [one.capitalize() for one in columns],
                [[escape(cell) for cell in row] for row in rows],
                numeric=frozenset({2, 3, 4, 5, 6}),
            )
    with frame.panel("Features by drift", note="bars: now; line: expected for the current activities"):
        for feature in found.features[:_SHOWN]:
            _feature(feature)
    with frame.grid(340):
        with frame.panel("Activity rates", note="share of windows: now, and in training"):
            _classes(found)
        with frame.panel("Confidence", note="bars: now; line: of held-out people"):
            ui.html(
                charts.two_histograms(
                    found.confidences_now,
                    found.confidences_baseline,
                    title="Windows by confidence: now, and of held-out people",
                    low="0%",
                    high="100%",
                    width=340,
                    height=130,
                ),
                sanitize=False,
            ).classes("w-full")
    frame.text(
        "Means are compared in standard errors over people, so with few watches only large changes exceed a "
        "threshold. docs/monitoring.md explains every measure.",
        "note",
    )


async def _page_link() -> None:
    """Where there is one, the last report that was kept: it has the course of its day."""
    path = reports_folder(context.settings()) / LATEST_PAGE
    made = await context.run(lambda: path.stat().st_mtime if path.is_file() else None)
    if made is not None:
        ui.html(
            f'<a class="button small" href="/drift/report" target="_blank">Report of '
            f"{datetime.fromtimestamp(made, UTC):%Y-%m-%d %H:%M} UTC</a>",
            sanitize=False,
        )


def _alarms(found: list[Alarm]) -> None:
    lasting = [one for one in found if one.over_at is None]
    over = [one for one in found if one.over_at is not None]
    with frame.panel("Alarms", note="in the time of the windows (UTC)"):
        if not found:
            frame.text("No alarms. The DAG drift_report updates them every hour, and so does this command:")
            frame.text("`activity drift --record`")
            return
        if not lasting:
            frame.text("No alarm is open.")
        features = [one for one in lasting if one.subject != ALL]
        shown = [one for one in lasting if one.subject == ALL] + features[:12]
        if shown:
            frame.table(
                ["Measure", "Feature", "Value", "Threshold", "Since", "Last seen"],
                [_row(one) for one in shown],
                numeric=frozenset({2, 3}),
            )
        if len(features) > 12:
            frame.text(f"... and {len(features) - 12} more features.", "note")
        if over:
            with frame.folded(f"{len(over)} ended"):
                frame.table(
                    ["Measure", "Feature", "Value", "Threshold", "Since", "Until"],
                    [[*_row(one)[:5], frame.moment(one.over_at or one.last_seen)] for one in over[:20]],
                    numeric=frozenset({2, 3}),
                )


def _row(one: Alarm) -> list[str]:
    return [
        escape(title_of(one.measure)),
        escape("" if one.subject == ALL else one.subject),
        f"{one.value:.2f}",
        f"{one.bar:.2f}",
        frame.moment(one.since),
        frame.moment(one.last_seen),
    ]


def _feature(feature: FeatureDrift) -> None:
    low, high = feature.bins[0][1], feature.bins[-1][0]
    unit = f" {feature.unit}" if feature.unit else ""
    kind = (
        '<span class="chip bad">drifted</span>'
        if feature.over
        else '<span class="chip good">as expected</span>'
    )
    with ui.element("div").classes("feature"):
        ui.html(
            f"<div><h3>{escape(feature.name)} {kind}</h3><p>{escape(_plain(feature))}</p>"
            f'<p class="note">{escape(feature.meaning)}; {escape(_measures(feature))}</p></div>',
            sanitize=False,
        )
        ui.html(
            charts.two_histograms(
                feature.now,
                feature.expected,
                title=f"{feature.name}: shares of ten bins, now and expected",
                low="" if low is None else f"< {low:.3g}{unit}",
                high="" if high is None else f"> {high:.3g}{unit}",
            ),
            sanitize=False,
        )


def _measures(feature: FeatureDrift) -> str:
    """Its measures with their thresholds."""
    shown = [(one.heading, feature.measures[one.name]) for one in feature_measures()]
    return ", ".join(f"{heading} {one.value:.2f} (threshold {one.bar:.2f})" for heading, one in shown)


def _plain(feature: FeatureDrift) -> str:
    """How the feature differs, in words."""
    unit = f" {feature.unit}" if feature.unit else ""
    if feature.mean_now is None:
        return "Missing: no window has it now."
    if "missing" in feature.over:
        return f"Missing in {feature.missing_now:.0%} of the windows, in {feature.missing_expected:.0%} in training."
    way = "higher" if feature.mean_now > feature.mean_expected else "lower"
    return (
        f"Mean {feature.mean_now:.3g}{unit}, {way} than the {feature.mean_expected:.3g}{unit} "
        "expected for the current activities."
    )


def _classes(found: Comparison) -> None:
    rows = sorted(found.class_rates.items(), key=lambda item: -abs(item[1][0] - item[1][1]))
    frame.table(
        ["Activity", "Now", "In training"],
        [[frame.activity_chip(label), f"{now:.0%}", f"{then:.0%}"] for label, (now, then) in rows],
        numeric=frozenset({1, 2}),
    )
