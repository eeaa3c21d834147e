"""The drift report as one page that needs nothing else: what is expected beside what is there now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from activitymodule.monitoring.course import CoursePoint
from activitymodule.monitoring.measures import feature_measures
from activitymodule.monitoring.report import Comparison, DriftReport, FeatureDrift, measures_table
from activitymodule.monitoring.slices import slices_table
from activitymodule.workflows.reports.document import document, table

_STYLE = """
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: var(--muted); }
.now { fill: var(--now); opacity: .75; } .then { stroke: var(--then); stroke-width: 2; fill: none; }
.line { stroke: var(--now); stroke-width: 2; fill: none; } .dot { fill: var(--now); }
.bar { stroke: var(--bad); stroke-dasharray: 4 3; } .axis { stroke: var(--line); }
"""
_LEAST_MISSING = 0.01  # a difference below is not listed
_WIDTH, _HEIGHT, _FOOT = 420, 120, 16


def drift_page(report: DriftReport, course: Sequence[CoursePoint], made_at: datetime) -> str:
    """The page of a report. course : the parts of the last day"""
    title = f"Drift report of {made_at:%Y-%m-%d %H:%M} UTC"
    served = f"{report.model_name} version {report.model_version or '-'}"
    body = [f"<h1>{escape(title)}</h1>", f'<p class="warn">{escape(report.summary)}</p>']
    found = report.comparison
    if found is None or report.since is None or report.until is None:
        body.append(f'<p class="note">{escape(served)}</p>')
        return document(title, body, _STYLE)
    body.append(
        f'<p class="note">{found.windows:,} windows of {found.watches:,} watches from {report.since:%Y-%m-%d %H:%M} to '
        f"{report.until:%H:%M} UTC, beside what the training of {escape(served)} expects for the activities that are "
        "predicted now.</p>"
    )
    head, rows = measures_table(found)
    body.append("<h2>Measures</h2>" + table([one.capitalize() for one in head], _texts(rows), {1, 2}))
    body += _predictions(found)
    body += _features(found)
    body += _missing(found)
    if report.slices:
        head, cells = slices_table(report.slices)
        body.append("<h2>By device model and age band</h2>")
        body.append(table([one.capitalize() for one in head], cells, {2, 3, 4, 5, 6}))
    body += _course(course, found)
    return document(title, body, _STYLE)


def _texts(rows: Sequence[Sequence[str | float | None]]) -> list[list[str]]:
    return [["-" if cell is None else str(cell) for cell in row] for row in rows]


def _predictions(found: Comparison) -> list[str]:
    rates = sorted(found.class_rates.items(), key=lambda item: -abs(item[1][0] - item[1][1]))
    return [
        "<h2>Predictions and confidence</h2>",
        '<div class="figures"><figure>',
        table(
            ["Activity", "Now", "In training"],
            [[label, f"{now:.1%}", f"{then:.1%}"] for label, (now, then) in rates],
            {1, 2},
        ),
        "</figure><figure>",
        histogram(
            found.confidences_now,
            found.confidences_baseline,
            "Windows by confidence: bars now, line held-out people",
            "0 %",
            "100 %",
        ),
        f'<figcaption class="note">Confidence: mean {found.confidence_now:.1%} now, {found.confidence_expected:.1%} '
        "expected. Bars: now; line: held-out people.</figcaption></figure></div>",
    ]


def _features(found: Comparison) -> list[str]:
    moved = [one for one in found.features if one.over]
    body = [f"<h2>Features that moved: {len(moved)} of {found.features_judged}</h2>"]
    if not moved:
        return [*body, '<p class="note">No feature exceeds a threshold.</p>']
    body.append('<p class="note">Bars: now; line: expected. Those that moved furthest come first.</p>')
    body.append('<div class="figures">' + "".join(map(_feature, moved)) + "</div>")
    return body


def _feature(one: FeatureDrift) -> str:
    unit = f" {one.unit}" if one.unit else ""
    low, high = one.bins[0][1], one.bins[-1][0]
    picture = histogram(
        one.now,
        one.expected,
        f"{one.name}: shares of its bins, now and expected",
        "" if low is None else f"< {low:.3g}{unit}",
        "" if high is None else f"> {high:.3g}{unit}",
    )
    now = "missing" if one.mean_now is None else f"{one.mean_now:.3g}{unit}"
    measures = ", ".join(
        f"{measure.heading} {one.measures[measure.name].value:.2f} (threshold {one.measures[measure.name].bar:.2f})"
        for measure in feature_measures()
    )
    return (
        f"<figure><h3>{escape(one.name)}</h3>{picture}"
        f'<figcaption class="note">{escape(one.meaning)}. Mean {escape(now)}, expected {one.mean_expected:.3g}'
        f"{escape(unit)}; {escape(measures)}.</figcaption></figure>"
    )


def _missing(found: Comparison) -> list[str]:
    apart = [one for one in found.features if abs(one.missing_now - one.missing_expected) >= _LEAST_MISSING]
    apart.sort(key=lambda one: -abs(one.missing_now - one.missing_expected))
    body = [f"<h2>Missing values: {len(apart)} features differ</h2>"]
    if not apart:
        return [*body, f'<p class="note">None differs by {_LEAST_MISSING:.0%} of the windows or more.</p>']
    rows = [[one.name, f"{one.missing_now:.1%}", f"{one.missing_expected:.1%}"] for one in apart]
    return [*body, table(["Feature", "Missing now", "In training"], rows, {1, 2})]


def _course(course: Sequence[CoursePoint], found: Comparison) -> list[str]:
    body = ["<h2>Over time</h2>"]
    if len(course) < 2:
        return [*body, '<p class="note">There are too few windows before these.</p>']
    times = [one.begin for one in course]
    figures = [
        _line(times, [one.values[measure.name] for one in course], measure.title, measure.bar)
        for measure in found.measures
    ]
    figures += [
        _line(times, [one.confidence for one in course], "Mean confidence"),
        _line(times, [one.missing for one in course], "Share of missing values"),
        _line(times, [float(one.windows) for one in course], "Windows an hour"),
    ]
    body.append(
        '<p class="note">By the hour of the last day (UTC); dashed: the threshold of the report above.</p>'
        f'<div class="figures">{"".join(figures)}</div>'
    )
    head = ["Hour", "Windows", "Features over", "Confidence", *course[0].rates]
    rows = [
        [
            f"{one.begin:%Y-%m-%d %H:%M}",
            f"{one.windows:,}",
            f"{one.features_over}",
            f"{one.confidence:.1%}",
            *(f"{rate:.1%}" for rate in one.rates.values()),
        ]
        for one in course
    ]
    return [*body, table(head, rows, set(range(1, len(head))))]


def histogram(now: Sequence[float], expected: Sequence[float], title: str, low: str, high: str) -> str:
    """SVG of shares of bins: bars of now, a stepped line of what is expected."""
    most = max(*now, *expected, 1e-9)
    step = _WIDTH / len(now)
    bars = "".join(
        f'<rect class="now" x="{k * step + 1:.1f}" y="{_HEIGHT - _HEIGHT * share / most:.1f}" width="{step - 2:.1f}" '
        f'height="{_HEIGHT * share / most:.1f}"/>'
        for k, share in enumerate(now)
    )
    corners = " ".join(
        f"{x:.1f},{_HEIGHT - (_HEIGHT - 2) * share / most:.1f}"
        for k, share in enumerate(expected)
        for x in (k * step, (k + 1) * step)
    )
    return _svg(f'{bars}<polyline class="then" points="{corners}"/>', title, low, high)


def _line(times: Sequence[datetime], values: Sequence[float], title: str, bar: float | None = None) -> str:
    """A figure of values over time; bar : the threshold, on either side where values are negative."""
    bars = [] if bar is None else [bar, -bar] if min(values) < 0 else [bar]
    low, high = min(0.0, *values, *bars), max(*values, *bars, 1e-9)
    whole = (times[-1] - times[0]).total_seconds() or 1.0

    def place(value: float) -> float:
        return _HEIGHT - (_HEIGHT - 6) * (value - low) / (high - low) - 3

    points = [
        ((at - times[0]).total_seconds() / whole * (_WIDTH - 8) + 4, place(value))
        for at, value in zip(times, values, strict=True)
    ]
    drawn = "".join(
        f'<line class="bar" x1="0" x2="{_WIDTH}" y1="{place(one):.1f}" y2="{place(one):.1f}"/>'
        for one in bars
    )
    drawn += f'<polyline class="line" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
    drawn += "".join(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points)
    picture = _svg(drawn, f"{title} over time", f"{times[0]:%m-%d %H:%M}", f"{times[-1]:%m-%d %H:%M}")
    told = f"{title}: {values[-1]:.3g} now, from {min(values):.3g} to {max(values):.3g}"
    return f'<figure>{picture}<figcaption class="note">{escape(told)}</figcaption></figure>'


def _svg(drawn: str, title: str, left: str, right: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _FOOT}" role="img"><title>{escape(title)}</title>{drawn}'
        f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>'
        f'<text x="0" y="{_HEIGHT + 12}">{escape(left)}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 12}" text-anchor="end">{escape(right)}</text></svg>'
    )
