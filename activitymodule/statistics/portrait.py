"""A picture of real beside synthetic recordings, with the measures of their fidelity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from activitymodule import files
from activitymodule.statistics.fidelity.report import Line
from activitymodule.statistics.profile import RATE_HZ
from activitymodule.statistics.recordings import Recording

SHOWN_SECONDS = 20
_AXES = (
    ("x", "#0072B2"),
    ("y", "#D55E00"),
    ("z", "#009E73"),
)  # Okabe and Ito (2008): safe for colour-blind readers
_INK, _SOFT, _REAL, _SYNTHETIC = "#222222", "#8a8a8a", "#222222", "#CC79A7"
_SEGMENT = 64
_LEFT = 0.105


@dataclass(frozen=True)
class _Page:
    """A figure of a row an activity: traces of one person left, spectra of all people right."""

    figure: Figure
    grid: GridSpec
    height: float  # inches
    rows: int

    def axes(self, row: int, column: int) -> Axes:
        """The axes of a row and column; seconds or Hz stand under the last row only."""
        axes = self.figure.add_subplot(self.grid[row, column])
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color("#cccccc")
        axes.tick_params(colors=_SOFT, labelsize=7.5, length=2)
        axes.grid(axis="y", color="#eeeeee", lw=0.6)
        axes.set_axisbelow(True)
        if row == self.rows - 1:
            axes.set_xlabel("Hz" if column == 2 else "seconds", color=_SOFT)
        else:
            axes.set_xticklabels([])
        return axes

    def text(self, x: float, inches_from_top: float, text: str, **style: object) -> None:
        """Text at a place from the left edge (share of the width) and from the top (inches)."""
        self.figure.text(x, 1 - inches_from_top / self.height, text, va="center", **style)  # type: ignore[arg-type]


def draw(
    real: Sequence[Recording],
    synthetic: Sequence[Recording],
    lines: Sequence[Line],
    path: Path,
    title: str,
) -> None:
    """Write a PNG: a row an activity with real and synthetic accelerations of one person and the spectra of all."""
    activities = sorted({r.activity for r in real} & {r.activity for r in synthetic})
    person = _person_with_most(real, synthetic, activities)
    with rc_context({"font.family": "DejaVu Sans", "font.size": 9}):
        page = _page(len(activities))
        for row, activity in enumerate(activities):
            pair = [
                _middle(_of(part, person, activity), SHOWN_SECONDS * RATE_HZ) for part in (real, synthetic)
            ]
            _traces(page, row, activity, pair)
            _power(page, row, [_spectra(part, activity) for part in (real, synthetic)])
        _heading(page, title, person)
        _table(page, lines)
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.written_beside(path) as part:
            page.figure.savefig(part)


def _page(rows: int) -> _Page:
    height = 1.42 * rows + 4.35
    figure = Figure(figsize=(13, height), dpi=110, facecolor="white")
    grid = figure.add_gridspec(
        rows,
        3,
        width_ratios=(1, 1, 0.66),
        left=_LEFT,
        right=0.985,
        top=1 - 1.25 / height,
        bottom=3.05 / height,
        hspace=0.34,
        wspace=0.1,
    )
    return _Page(figure, grid, height, rows)


def _traces(page: _Page, row: int, activity: str, pair: Sequence[np.ndarray]) -> None:
    """Accelerations (n, 3) in g of a real and a synthetic person, on one scale."""
    seconds = np.arange(SHOWN_SECONDS * RATE_HZ) / RATE_HZ
    low = min(float(x.min()) for x in pair)
    high = max(float(x.max()) for x in pair)
    room = 0.08 * max(high - low, 0.5)
    for column, x in enumerate(pair):
        axes = page.axes(row, column)
        for c, (_, colour) in enumerate(_AXES):
            axes.plot(seconds[: len(x)], x[:, c], color=colour, lw=0.9)
        axes.set_xlim(0, SHOWN_SECONDS)
        axes.set_ylim(low - room, high + room)
        if column == 0:
            place = axes.get_position()
            page.figure.text(
                0.022, place.y0 + place.height / 2, activity, ha="left", va="center", color=_INK, fontsize=10
            )
        else:
            axes.set_yticklabels([])
        if row == 0:
            axes.set_title(("real, g", "synthetic, g")[column], loc="left", color=_INK, fontsize=10.5)


def _power(page: _Page, row: int, pair: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Median and quartiles of the power by frequency, real and synthetic."""
    frequency = np.fft.rfftfreq(_SEGMENT, 1 / RATE_HZ)
    axes = page.axes(row, 2)
    for (middle, lower, upper), colour in zip(pair, (_REAL, _SYNTHETIC), strict=True):
        axes.fill_between(frequency[1:], lower[1:], upper[1:], color=colour, alpha=0.16, lw=0)
        axes.plot(frequency[1:], middle[1:], color=colour, lw=1.2)
    axes.set_yscale("log")
    axes.set_xlim(0, RATE_HZ / 2)
    axes.yaxis.tick_right()
    axes.set_yticklabels([])
    axes.tick_params(axis="y", which="both", length=0)
    if row == 0:
        axes.set_title("power by frequency, all people", loc="left", color=_INK, fontsize=10.5)
        for at, text, colour in ((0.62, "real", _REAL), (0.76, "synthetic", _SYNTHETIC)):
            axes.text(at, 0.86, text, transform=axes.transAxes, color=colour, fontsize=8.5)


def _heading(page: _Page, title: str, person: str) -> None:
    page.text(0.022, 0.36, title, fontsize=13, color=_INK, weight="bold")
    for at, (name, colour) in zip((0.345, 0.36, 0.375), _AXES, strict=True):
        page.text(at, 1.12, name, color=colour, fontsize=10, weight="bold")
    text = (
        f"Left: total acceleration of person {person} and of a synthetic watch like theirs, {SHOWN_SECONDS} s from "
        "the middle. Right: median and quartiles of all people."
    )
    page.text(0.022, 0.66, text, color=_SOFT, fontsize=9)


def _table(page: _Page, lines: Sequence[Line]) -> None:
    """The summary as a small table under the traces."""
    top, step = 2.35, 0.17
    columns = (0.022, 0.38, 0.62, 0.78, 0.90)
    heads = ("measure", "synthetic: mean ± sd (range)", "real v. other real", "target", "")
    for at, text in zip(columns, heads, strict=True):
        page.figure.text(at, top / page.height, text, color=_SOFT, fontsize=8.5)
    for number, line in enumerate(lines, 1):
        y = (top - step * number) / page.height
        met = "" if line.met is None else "met" if line.met else "not met"
        target = "" if line.target is None else f"{line.sense} {line.target:g}"
        real = "" if line.real is None else f"{line.real.mean:.3f}"
        colour = "#b00020" if line.met is False else _INK
        for at, text in zip(columns, (line.name, str(line.value), real, target, met), strict=True):
            page.figure.text(at, y, text, color=colour, fontsize=8.5)


def _spectrum(x: np.ndarray) -> np.ndarray:
    """(33,) mean power of 6.4 s segments, summed over the axes."""
    starts = np.arange(0, len(x) - _SEGMENT + 1, _SEGMENT // 2)
    segments = np.asarray(x, float)[starts[:, None] + np.arange(_SEGMENT)]
    segments = segments - segments.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(segments * np.hanning(_SEGMENT)[None, :, None], axis=1)) ** 2
    return np.asarray(power.sum(axis=2).mean(axis=0))


def _spectra(recordings: Sequence[Recording], activity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, lower and upper quartile over people, (33,) each."""
    each = np.stack([_spectrum(r.acceleration) for r in recordings if r.activity == activity])
    low, middle, high = np.quantile(each, [0.25, 0.5, 0.75], axis=0)
    return middle, low, high


def _of(recordings: Sequence[Recording], person: str, activity: str) -> np.ndarray:
    same = [r for r in recordings if r.activity == activity]
    return next((r for r in same if r.person == person), same[0]).acceleration


def _person_with_most(
    real: Sequence[Recording], synthetic: Sequence[Recording], activities: Sequence[str]
) -> str:
    """The first of the people who did the most of the activities in both data sets."""
    have = {(r.person, r.activity) for r in real} & {(r.person, r.activity) for r in synthetic}
    people = sorted({r.person for r in real})
    return max(people, key=lambda p: (sum((p, a) in have for a in activities), -people.index(p)))


def _middle(x: np.ndarray, n: int) -> np.ndarray:
    start = max(0, (len(x) - n) // 2)
    return x[start : start + n]
