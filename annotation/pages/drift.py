"""Drift report: compares current readings with the champion's training data."""

from __future__ import annotations

from html import escape

from nicegui import ui

from activitymodule.monitoring.drift import Comparison, DriftReport, FeatureDrift
from activitymodule.store.drift import Alarm, alarms
from annotation import charts, context, frame
from annotation.api.monitoring import drift_now
from annotation.auth import User

_SHOWN = 8
_DRIFT = '<path d="M3 17c3 0 3-9 6-9s3 9 6 9 3-12 6-12M3 21h18"/>'
_MEASURES = {
    "z_score": "mean of a feature",
    "psi": "distribution of a feature",
    "missing": "missing feature",
    "features_share": "share of features over their threshold",
    "class_shift": "activities",
    "confidence_shift": "confidence",
}


@frame.page("/drift", "Drift", icon=_DRIFT, group="Stream", order=50, assets=("fleet.css",))
async def drift(who: User) -> None:
    """The report, the alarms, the features with the largest drift."""
    waiting = frame.text("Loading ...", "muted")
    report = await drift_now()
    tripped = await context.run_read(lambda connection: alarms(connection, limit=60))
    waiting.delete()
    found = report.comparison
    if found is None:
        frame.notice(report.says)
        least = context.settings().monitoring.least_windows
        frame.empty(
            "No drift report yet",
            "Drift monitoring compares current windows with the champion's training data. It needs "
            f"{least:,} complete windows.",
            ("Open Live", "/live"),
        )
        _alarms(tripped)
        return
    _summary(report, found, who)
    _alarms(tripped)
    with frame.panel(
        "Features with the largest drift", note="bars: now; line: expected for current activities"
    ):
        for feature in found.features[:_SHOWN]:
            _feature(feature)
    with frame.grid(340):
        with frame.panel("Activities", note="share of windows, now and in training"):
            _classes(found)
        with frame.panel("Confidence", note="bars: now; line: in the champion's evaluation"):
            ui.html(
                charts.two_histograms(
                    found.confidences_now,
                    found.confidences_baseline,
                    title="Windows by confidence, now and in the champion's evaluation",
                    low="0%",
                    high="100%",
                    width=340,
                    height=130,
                ),
                sanitize=False,
            ).classes("w-full")
    frame.text(
        "Distances of means are in standard errors over people, so a small fleet exceeds a threshold only on large "
        "changes. docs/monitoring.md explains each measure and threshold.",
        "note",
    )


def _summary(report: DriftReport, found: Comparison, who: User) -> None:
    frame.notice(report.says, "bad" if report.retrain else "warn" if found.tripped else "good")
    if report.retrain and who.is_admin:
        ui.html('<a class="button primary" href="/models#retrain">Go to retraining</a>', sanitize=False)
    minutes = context.settings().monitoring.look_back_minutes
    frame.stats(
        [
            ("Windows", f"{found.windows:,}", f"of {found.watches:,} watches, last {minutes:g} minutes"),
            (
                "Features over threshold",
                f"{found.features_over}",
                f"of {len(found.features)} ({found.features_share:.0%})",
            ),
            ("Activity shift", f"{found.class_shift:.2f}", f"threshold {found.class_bar:.2f}"),
            (
                "Mean confidence",
                f"{found.confidence_now:.0%}",
                f"expected {found.confidence_expected:.0%}; threshold {found.confidence_bar:.0%} difference",
            ),
        ]
    )


def _alarms(found: list[Alarm]) -> None:
    lasting = [one for one in found if one.over_at is None]
    over = [one for one in found if one.over_at is not None]
    with frame.panel("Drift alarms", note="times of the windows, in UTC"):
        if not found:
            frame.text(
                "No alarms. Drift monitoring runs every hour, and with the command `activity drift --record`."
            )
            return
        if not lasting:
            frame.text("No open alarms.")
        features = [one for one in lasting if one.subject != "all"]
        shown = [one for one in lasting if one.subject == "all"] + features[:12]
        if shown:
            frame.table(
                ["Measure", "Feature", "Value", "Threshold", "Since", "Last seen"],
                [_row(one) for one in shown],
                numeric=frozenset({2, 3}),
            )
        if len(features) > 12:
            frame.text(f"... and {len(features) - 12} more features.", "note")
        if over:
            with ui.element("details"):
                ui.html(f"{len(over)} closed alarms", tag="summary", sanitize=False)
                frame.table(
                    ["Measure", "Feature", "Value", "Threshold", "Since", "Until"],
                    [[*_row(one)[:5], f"{one.over_at:%m-%d %H:%M}"] for one in over[:20]],
                    numeric=frozenset({2, 3}),
                )


def _row(one: Alarm) -> list[str]:
    return [
        escape(_MEASURES.get(one.measure, one.measure)),
        escape("" if one.subject == "all" else one.subject),
        f"{one.value:.2f}",
        f"{one.bar:.2f}",
        f"{one.since:%m-%d %H:%M}",
        f"{one.last_seen:%m-%d %H:%M}",
    ]


def _feature(feature: FeatureDrift) -> None:
    low, high = feature.bins[0][1], feature.bins[-1][0]
    unit = f" {feature.unit}" if feature.unit else ""
    kind = (
        '<span class="chip bad">over threshold</span>'
        if feature.over
        else '<span class="chip good">within threshold</span>'
    )
    with ui.element("div").classes("feature"):
        ui.html(
            f"<div><h3>{escape(feature.name)} {kind}</h3><p>{escape(_plain(feature))}</p>"
            f'<p class="note">{escape(feature.meaning)}; mean {feature.z:+.1f} standard errors from expected; '
            f"population stability index {feature.psi:.2f} (threshold {feature.psi_bar:.2f})</p></div>",
            sanitize=False,
        )
        ui.html(
            charts.two_histograms(
                feature.now,
                feature.expected,
                title=f"{feature.name}: shares of ten bins now and as expected",
                low="" if low is None else f"< {low:.3g}{unit}",
                high="" if high is None else f"> {high:.3g}{unit}",
            ),
            sanitize=False,
        )


def _plain(feature: FeatureDrift) -> str:
    """How a feature changed, in one sentence."""
    unit = f" {feature.unit}" if feature.unit else ""
    if feature.mean_now is None:
        return "Missing in every window."
    if "missing" in feature.over:
        return f"Missing in {feature.missing_now:.0%} of the windows; in training {feature.missing_expected:.0%}."
    way = "higher" if feature.mean_now > feature.mean_expected else "lower"
    return (
        f"Mean {feature.mean_now:.3g}{unit}, {way} than the {feature.mean_expected:.3g}{unit} expected for current "
        "activities."
    )


def _classes(found: Comparison) -> None:
    rows = sorted(found.class_rates.items(), key=lambda item: -abs(item[1][0] - item[1][1]))
    frame.table(
        ["Activity", "Now", "In training"],
        [[frame.activity_chip(label), f"{now:.0%}", f"{then:.0%}"] for label, (now, then) in rows],
        numeric=frozenset({1, 2}),
    )
