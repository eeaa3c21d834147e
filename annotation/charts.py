"""Small charts as SVG text: they follow the theme of the page, and are replaced as a whole.

Each has a title for screen readers; the pages show the numbers beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

LINE = "#4b96f0"
SECOND_LINE = "#e1780f"
HEART_LINE = "#c31e1e"

_LEFT, _RIGHT, _BOTTOM, _TOP = 44, 8, 22, 8


def _svg(width: int, height: int, title: str, body: str, *, least: int = 0) -> str:
    style = f"width:100%;height:auto;display:block;{f'min-width:{least}px' if least else ''}"
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" style="{style}" '
        f'font-family="inherit" font-size="11">{body}</svg>'
    )


def _text(x: float, y: float, words: str, anchor: str = "start", extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="var(--muted)" {extra}>{escape(words)}</text>'


def nice(most: float) -> float:
    """The next round number: 1, 2, 3, 4, 5, 6 or 8 times a power of ten."""
    if not most > 0:
        return 1.0
    power = 10 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= most - 1e-12)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or float(value).is_integer() else f"{value:.2g}"


def _frame(width: int, height: int, most: float, unit: str = "", left: int = _LEFT) -> str:
    parts = []
    for share in (0, 0.5, 1):
        y = height - _BOTTOM - share * (height - _BOTTOM - _TOP)
        parts.append(
            f'<line x1="{left}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
        )
        parts.append(_text(left - 6, y + 4, _number(share * most) + (unit if share == 1 else ""), "end"))
    return "".join(parts)


def _clock(width: int, height: int, times: Sequence[datetime], left: int = _LEFT) -> str:
    """Some times of day along the bottom."""
    if not times:
        return ""
    first, last = times[0], times[-1]
    span = max((last - first).total_seconds(), 1)
    step = next((s for s in (60, 120, 300, 600, 900, 1800) if span / s <= 6), 3600)
    parts = []
    at = math.ceil(first.timestamp() / step) * step
    while at <= last.timestamp():
        x = left + (at - first.timestamp()) / span * (width - left - _RIGHT)
        # too near the edge a label would be cut
        if left + 12 < x < width - _RIGHT - 14:
            words = datetime.fromtimestamp(at, first.tzinfo).strftime("%H:%M")
            parts.append(_text(x, height - 6, words, "middle"))
        at += step
    return "".join(parts)


def stacked(
    times: Sequence[datetime],
    values: Mapping[str, Sequence[float]],
    colours: Mapping[str, str],
    *,
    title: str,
    width: int = 760,
    height: int = 230,
) -> str:
    """Bars over time, one on top of the other by label."""
    totals = [sum(series[i] for series in values.values()) for i in range(len(times))]
    most = nice(max(totals, default=0))
    inner = height - _BOTTOM - _TOP
    n = max(len(times), 1)
    slot = (width - _LEFT - _RIGHT) / n
    parts = [_frame(width, height, most)]
    base = [0.0] * len(times)
    gap = 0.6 if slot > 3 else 0
    for label, series in values.items():
        path = []
        for i, value in enumerate(series):
            if value <= 0:
                continue
            y0 = height - _BOTTOM - base[i] / most * inner
            y1 = height - _BOTTOM - (base[i] + value) / most * inner
            x = _LEFT + i * slot
            path.append(f"M{x:.1f} {y0:.1f}V{y1:.1f}h{slot - gap:.1f}V{y0:.1f}z")
            base[i] += value
        if path:
            parts.append(
                f'<path d="{"".join(path)}" fill="{colours[label]}"><title>{escape(label)}</title></path>'
            )
    parts.append(_clock(width, height, times))
    return _svg(width, height, title, "".join(parts), least=520)


def lines(
    times: Sequence[datetime],
    series: Sequence[tuple[str, Sequence[float | None], str]],
    *,
    title: str,
    unit: str = "",
    least: float | None = 0.0,
    width: int = 380,
    height: int = 150,
) -> str:
    """Lines over time with gaps where there is no value: (name, values, colour). least None: from the lowest value."""
    known = [v for _, values, _ in series for v in values if v is not None]
    low = 0.0 if least is not None else math.floor(min(known, default=0) / 10) * 10
    most = nice(max(known, default=0) - low)
    inner = height - _BOTTOM - _TOP
    n = max(len(times) - 1, 1)
    parts = []
    for share in (0, 0.5, 1):
        y = height - _BOTTOM - share * inner
        parts.append(
            f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
        )
        parts.append(
            _text(_LEFT - 6, y + 4, _number(low + share * most) + (unit if share == 1 else ""), "end")
        )
    for name, values, colour in series:
        path, pen = [], "M"
        for i, value in enumerate(values):
            if value is None:
                pen = "M"
                continue
            x = _LEFT + i / n * (width - _LEFT - _RIGHT)
            path.append(f"{pen}{x:.1f} {height - _BOTTOM - (value - low) / most * inner:.1f}")
            pen = "L"
        parts.append(
            f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round" '
            f'stroke-linecap="round"><title>{escape(name)}</title></path>'
        )
    parts.append(_clock(width, height, times))
    return _svg(width, height, title, "".join(parts))


def timeline(
    spans: Sequence[tuple[float, float, str, str]],
    first: datetime,
    last: datetime,
    *,
    title: str,
    width: int = 760,
    height: int = 66,
) -> str:
    """Coloured spans of a stretch of time: (start, end, colour, what), in seconds since `first`."""
    whole = max((last - first).total_seconds(), 1)
    inner = width - _LEFT - _RIGHT
    parts = [
        f'<rect x="{_LEFT}" y="6" width="{inner}" height="{height - _BOTTOM - 8}" rx="4" fill="var(--sunken)"/>'
    ]
    for start, end, colour, what in spans:
        x = _LEFT + max(start, 0) / whole * inner
        wide = max((end - max(start, 0)) / whole * inner, 0.8)
        parts.append(
            f'<rect x="{x:.1f}" y="6" width="{wide:.1f}" height="{height - _BOTTOM - 8}" fill="{colour}">'
            f"<title>{escape(what)}</title></rect>"
        )
    parts.append(_clock(width, height, [first, last]))
    return _svg(width, height, title, "".join(parts))


def two_histograms(
    now: Sequence[float],
    then: Sequence[float],
    *,
    title: str,
    low: str = "",
    high: str = "",
    width: int = 220,
    height: int = 84,
) -> str:
    """Shares of bins: now as bars, the expected ones as a line of steps."""
    most = max([*now, *then, 1e-9])
    bottom = height - 16
    slot = width / max(len(now), 1)
    parts = [f'<line x1="0" x2="{width}" y1="{bottom}" y2="{bottom}" stroke="var(--line-strong)"/>']
    for i, share in enumerate(now):
        tall = share / most * (bottom - 4)
        parts.append(
            f'<rect x="{i * slot + 1:.1f}" y="{bottom - tall:.1f}" width="{slot - 2:.1f}" height="{tall:.1f}" '
            f'fill="{LINE}" rx="1"/>'
        )
    path = "".join(
        f"{'M' if i == 0 else 'L'}{i * slot:.1f} {bottom - share / most * (bottom - 4):.1f}h{slot:.1f}"
        for i, share in enumerate(then)
    )
    parts.append(f'<path d="{path}" fill="none" stroke="var(--text)" stroke-width="1.6"/>')
    parts.append(_text(0, height - 3, low))
    parts.append(_text(width, height - 3, high, "end"))
    return _svg(width, height, title, "".join(parts))


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]], *, title: str) -> str:
    """A confusion matrix as an HTML table: true labels in rows, predicted ones in columns, shares of each row."""
    head = "".join(f'<th scope="col"><span>{escape(label)}</span></th>' for label in labels)
    rows = []
    for label, row in zip(labels, counts, strict=True):
        whole = max(sum(row), 1)
        cells = []
        for other, n in zip(labels, row, strict=True):
            share = n / whole
            ink = "var(--on-accent)" if share > 0.55 else "var(--text)"
            cells.append(
                f'<td style="background:color-mix(in srgb, var(--accent) {share * 100:.0f}%, transparent);'
                f'color:{ink}" title="{escape(label)} predicted as {escape(other)}: {n:,} windows">'
                f"{'' if n == 0 else f'{share:.0%}'}</td>"
            )
        rows.append(f'<tr><th scope="row">{escape(label)}</th>{"".join(cells)}</tr>')
    return (
        f'<div class="table-wrap"><table class="confusion"><caption class="sr">{escape(title)}</caption><thead><tr>'
        f'<th scope="col" class="corner">true \\ predicted</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>"
    )


def reliability(
    points: Sequence[tuple[float, float, int]], *, title: str, width: int = 300, height: int = 240
) -> str:
    """A reliability diagram of (confidence, accuracy, windows) a bin; the diagonal is perfect calibration."""
    left, bottom, top = 56, height - 30, 8
    wide, tall = width - left - 22, bottom - top
    parts = [
        f'<rect x="{left}" y="{top}" width="{wide}" height="{tall}" fill="none" stroke="var(--line)"/>',
        f'<line x1="{left}" y1="{bottom}" x2="{left + wide}" y2="{top}" stroke="var(--line-strong)" '
        'stroke-dasharray="4 4"/>',
    ]
    for share in (0, 0.5, 1):
        parts.append(_text(left - 6, bottom - share * tall + 4, f"{share:.0%}", "end"))
        parts.append(_text(left + share * wide, bottom + 13, f"{share:.0%}", "middle"))
    most = max((n for *_, n in points), default=1)
    path = "".join(
        f"{'M' if i == 0 else 'L'}{left + c * wide:.1f} {bottom - right * tall:.1f}"
        for i, (c, right, _) in enumerate(points)
    )
    parts.append(f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.8"/>')
    for c, right, n in points:
        size = 2.5 + 4 * math.sqrt(n / most)
        parts.append(
            f'<circle cx="{left + c * wide:.1f}" cy="{bottom - right * tall:.1f}" r="{size:.1f}" '
            f'fill="{LINE}"><title>confidence {c:.0%}, accuracy {right:.0%}, {n:,} windows</title></circle>'
        )
    parts.append(_text(left + wide / 2, height - 4, "confidence", "middle"))
    middle = top + tall / 2
    parts.append(_text(12, middle, "accuracy", "middle", f'transform="rotate(-90 12 {middle:.1f})"'))
    return _svg(width, height, title, "".join(parts))


def legend(colours: Mapping[str, str], more: Mapping[str, str] | None = None) -> str:
    """Names beside their colours; more: text after a name."""
    return (
        '<div class="row-line">'
        + "".join(
            f'<span class="chip"><span class="dot" style="--c:{colour}"></span>{escape(label)}'
            f"{f' <b>{escape(more[label])}</b>' if more and label in more else ''}</span>"
            for label, colour in colours.items()
        )
        + "</div>"
    )
