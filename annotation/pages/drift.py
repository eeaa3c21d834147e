"""Drift: has what the watches send moved away from what the champion was trained on, since when, and what now."""

from __future__ import annotations

from html import escape

from nicegui import ui

from activitymodule.monitoring.drift import Comparison, FeatureDrift
from activitymodule.store.drift import Alarm, alarms
from annotation import charts, context, frame
from annotation.api.monitoring import drift_now
from annotation.auth import User
from annotation.pages.live import sheet

_SHOWN = 8
_MEASURES = {
    "z_score": "mean of a feature",
    "psi": "spread of a feature",
    "missing": "feature missing",
    "features_share": "share of features over a bar",
    "class_shift": "what people do",
    "confidence_shift": "how sure the champion is",
}


@frame.page("/drift", "Drift")
async def drift(who: User) -> None:
    sheet()
    waiting = frame.text("Looking ...", "muted")
    report = await drift_now()
    tripped = await context.run_read(lambda connection: alarms(connection, limit=60))
    waiting.delete()
    found = report.comparison
    if found is None:
        frame.notice(report.says)
        frame.empty(
            "Nothing to compare yet",
            "Every window that is complete is counted by the scoring job. After "
            f"{context.settings().monitoring.least_windows} of them this page says whether they look like those the "
            "champion was trained on.",
            ("Live", "/live"),
        )
        _alarms(tripped)
        return
    frame.notice(report.says, "bad" if report.retrain else "warn" if found.tripped else "good")
    if report.retrain and who.is_admin:
        ui.html('<a class="button primary" href="/models#retrain">Go to retraining</a>', sanitize=False)
    minutes = context.settings().monitoring.look_back_minutes
    frame.stats(
        [
            ("Windows", f"{found.windows:,}", f"of {found.watches:,} watches, {minutes:g} minutes"),
            (
                "Features over a bar",
                f"{found.features_over}",
                f"of {len(found.features)} ({found.features_share:.0%})",
            ),
            ("What people do", f"{found.class_shift:.2f}", f"moved; bar {found.class_bar:.2f}"),
            (
                "Confidence",
                f"{found.confidence_now:.0%}",
                f"{found.confidence_expected:.0%} expected; bar {found.confidence_bar:.0%} apart",
            ),
        ]
    )
    _alarms(tripped)
    with frame.panel(
        "Features that moved furthest", note="bars: now; line: what is expected for what people do now"
    ):
        for feature in found.features[:_SHOWN]:
            _feature(feature)
    with frame.grid(340):
        with frame.panel("What people do", note="share of windows: now, and in training"):
            _classes(found)
        with frame.panel("How sure the champion is", note="bars: now; line: with people it had not seen"):
            ui.html(
                charts.two_histograms(
                    found.confidences_now,
                    found.confidences_baseline,
                    title="Windows by confidence, now and when the champion was judged",
                    low="0 %",
                    high="100 % sure",
                    width=340,
                    height=130,
                ),
                sanitize=False,
            ).classes("w-full")
    frame.text(
        "A mean counts in standard errors over people, so a few watches trip on large changes only; "
        "other activities than in training are no drift of the sensors. docs/monitoring.md explains every bar.",
        "note",
    )


def _alarms(found: list[Alarm]) -> None:
    lasting = [one for one in found if one.over_at is None]
    over = [one for one in found if one.over_at is not None]
    with frame.panel("What tripped", note="since when, by the windows' own time (UTC)"):
        if not found:
            frame.text(
                "Nothing has tripped. The watch on drift looks every hour, and when this command does:"
            )
            frame.text("`activity drift --record`")
            return
        if not lasting:
            frame.text("Nothing is over its bar now.")
        features = [one for one in lasting if one.subject != "all"]
        shown = [one for one in lasting if one.subject == "all"] + features[:12]
        if shown:
            frame.table(
                ["What", "Of", "Value", "Bar", "Since", "Last seen"],
                [_row(one) for one in shown],
                numeric=frozenset({2, 3}),
            )
        if len(features) > 12:
            frame.text(f"... and {len(features) - 12} more features.", "note")
        if over:
            with ui.element("details"):
                ui.html(f"{len(over)} that are over", tag="summary", sanitize=False)
                frame.table(
                    ["What", "Of", "Value", "Bar", "Since", "Until"],
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
        '<span class="chip bad">over its bar</span>'
        if feature.over
        else '<span class="chip good">within</span>'
    )
    with ui.element("div").classes("feature"):
        ui.html(
            f"<div><h3>{escape(feature.name)} {kind}</h3><p>{escape(_plain(feature))}</p>"
            f'<p class="note">{escape(feature.meaning)}; {feature.z:+.1f} standard errors, stability index '
            f"{feature.psi:.2f} (bar {feature.psi_bar:.2f})</p></div>",
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
    """What happened to it, in words."""
    unit = f" {feature.unit}" if feature.unit else ""
    if feature.mean_now is None:
        return "It is gone: no window has it now."
    if "missing" in feature.over:
        return f"{feature.missing_now:.0%} of the windows lack it; {feature.missing_expected:.0%} did in training."
    way = "higher" if feature.mean_now > feature.mean_expected else "lower"
    return (
        f"{feature.mean_now:.3g}{unit} on average, {way} than the {feature.mean_expected:.3g}{unit} "
        "expected for what people do now."
    )


def _classes(found: Comparison) -> None:
    rows = sorted(found.class_rates.items(), key=lambda item: -abs(item[1][0] - item[1][1]))
    frame.table(
        ["Activity", "Now", "In training"],
        [[frame.activity_chip(label), f"{now:.0%}", f"{then:.0%}"] for label, (now, then) in rows],
        numeric=frozenset({1, 2}),
    )
