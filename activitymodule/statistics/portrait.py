"""A picture of real beside synthetic recordings, with the measures of their fidelity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from activitymodule.statistics.fidelity import Line
from activitymodule.statistics.profile import RATE_HZ
from activitymodule.statistics.recordings import Recording

SHOWN_SECONDS = 20
_AXES = (
    ("x", "#0072B2"),
    ("y", "#D55E00"),
    ("z", "#009E73"),
)  # Okabe and Ito: told apart by colour-blind eyes
_INK, _SOFT, _REAL, _SYNTHETIC = "#222222", "#8a8a8a", "#222222", "#CC79A7"
_SEGMENT = 64
_LEFT = 0.105


def _spectrum(x: np.ndarray) -> np.ndarray:
    """(33,) mean power of 6.4 s segments, summed over the axes."""
    starts = np.arange(0, len(x) - _SEGMENT + 1, _SEGMENT // 2)
    segments = np.asarray(x, float)[starts[:, None] + np.arange(_SEGMENT)]
    segments = segments - segments.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(segments * np.hanning(_SEGMENT)[None, :, None], axis=1)) ** 2
    return np.asarray(power.sum(axis=2).mean(axis=0))


def _spectra(recordings: Sequence[Recording], activity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median and quartiles over people, (33,) each."""
    found = np.stack([_spectrum(r.acceleration) for r in recordings if r.activity == activity])
    low, middle, high = np.quantile(found, [0.25, 0.5, 0.75], axis=0)
    return middle, low, high


def draw(
    real: Sequence[Recording],
    synthetic: Sequence[Recording],
    lines: Sequence[Line],
    path: Path,
    title: str,
) -> None:
    """Write a PNG: a row an activity with real and synthetic accelerations of one person and the spectra of all."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    activities = sorted({r.activity for r in real} & {r.activity for r in synthetic})
    person = _someone(real, synthetic, activities)
    rows = len(activities)
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9})
    height = 1.42 * rows + 4.35
    figure = plt.figure(figsize=(13, height), dpi=110, facecolor="white")
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
    n = SHOWN_SECONDS * RATE_HZ
    seconds = np.arange(n) / RATE_HZ
    frequency = np.fft.rfftfreq(_SEGMENT, 1 / RATE_HZ)
    for row, activity in enumerate(activities):
        pair = [_middle(_of(which, person, activity), n) for which in (real, synthetic)]
        low = min(float(x.min()) for x in pair)
        high = max(float(x.max()) for x in pair)
        room = 0.08 * max(high - low, 0.5)
        for column, x in enumerate(pair):
            axes = figure.add_subplot(grid[row, column])
            for c, (_, colour) in enumerate(_AXES):
                axes.plot(seconds[: len(x)], x[:, c], color=colour, lw=0.9)
            axes.set_xlim(0, SHOWN_SECONDS)
            axes.set_ylim(low - room, high + room)
            _quiet(axes, bottom=row == rows - 1)
            if column == 0:
                axes.text(
                    0.022,
                    axes.get_position().y0 + axes.get_position().height / 2,
                    activity,
                    transform=figure.transFigure,
                    ha="left",
                    va="center",
                    color=_INK,
                    fontsize=10,
                )
            else:
                axes.set_yticklabels([])
            if row == 0:
                axes.set_title(("real, g", "synthetic, g")[column], loc="left", color=_INK, fontsize=10.5)
            if row == rows - 1:
                axes.set_xlabel("seconds", color=_SOFT)
        axes = figure.add_subplot(grid[row, 2])
        for which, colour, style in ((real, _REAL, "-"), (synthetic, _SYNTHETIC, "-")):
            middle, lower, upper = _spectra(which, activity)
            axes.fill_between(frequency[1:], lower[1:], upper[1:], color=colour, alpha=0.16, lw=0)
            axes.plot(frequency[1:], middle[1:], style, color=colour, lw=1.2)
        axes.set_yscale("log")
        axes.set_xlim(0, RATE_HZ / 2)
        axes.yaxis.tick_right()
        axes.set_yticklabels([])
        axes.tick_params(axis="y", which="both", length=0)
        _quiet(axes, bottom=row == rows - 1)
        if row == 0:
            axes.set_title("power by frequency, all people", loc="left", color=_INK, fontsize=10.5)
            for at, text, colour in ((0.62, "real", _REAL), (0.76, "synthetic", _SYNTHETIC)):
                axes.text(at, 0.86, text, transform=axes.transAxes, color=colour, fontsize=8.5)
        if row == rows - 1:
            axes.set_xlabel("Hz", color=_SOFT)
    figure.text(0.022, 1 - 0.36 / height, title, fontsize=13, color=_INK, weight="bold", va="center")
    for at, (name, colour) in zip((0.345, 0.36, 0.375), _AXES, strict=True):
        figure.text(at, 1 - 1.12 / height, name, color=colour, fontsize=10, weight="bold", va="center")
    figure.text(
        0.022,
        1 - 0.66 / height,
        f"Left: total acceleration of person {person} and of a synthetic watch like theirs, {SHOWN_SECONDS} s from "
        "the middle. Right: median and quartiles of all people.",
        color=_SOFT,
        fontsize=9,
        va="center",
    )
    _numbers(figure, lines, height)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def _of(recordings: Sequence[Recording], person: str, activity: str) -> np.ndarray:
    same = [r for r in recordings if r.activity == activity]
    return next((r for r in same if r.person == person), same[0]).acceleration


def _someone(real: Sequence[Recording], synthetic: Sequence[Recording], activities: Sequence[str]) -> str:
    """The first person of whom there is everything."""
    have = {(r.person, r.activity) for r in real} & {(r.person, r.activity) for r in synthetic}
    people = sorted({r.person for r in real})
    return max(people, key=lambda p: (sum((p, a) in have for a in activities), -people.index(p)))


def _middle(x: np.ndarray, n: int) -> np.ndarray:
    start = max(0, (len(x) - n) // 2)
    return x[start : start + n]


def _quiet(axes: object, bottom: bool) -> None:
    """An axis that stays behind the data."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)  # type: ignore[attr-defined]
    axes.spines["bottom"].set_color("#cccccc")  # type: ignore[attr-defined]
    axes.tick_params(colors=_SOFT, labelsize=7.5, length=2)  # type: ignore[attr-defined]
    axes.grid(axis="y", color="#eeeeee", lw=0.6)  # type: ignore[attr-defined]
    axes.set_axisbelow(True)  # type: ignore[attr-defined]
    if not bottom:
        axes.set_xticklabels([])  # type: ignore[attr-defined]


def _numbers(figure: object, lines: Sequence[Line], height: float) -> None:
    """The summary as a small table under the traces."""
    top, step = 2.35, 0.17
    columns = (0.022, 0.38, 0.62, 0.78, 0.90)
    heads = ("measure", "synthetic: mean ± sd (range)", "real v. other real", "target", "")
    for at, text in zip(columns, heads, strict=True):
        figure.text(at, top / height, text, color=_SOFT, fontsize=8.5)  # type: ignore[attr-defined]
    for number, line in enumerate(lines, 1):
        y = (top - step * number) / height
        met = "" if line.met is None else "met" if line.met else "not met"
        target = "" if line.target is None else f"{line.sense} {line.target:g}"
        real = "" if line.real is None else f"{line.real.mean:.3f}"
        colour = "#b00020" if line.met is False else _INK
        for at, text in zip(columns, (line.name, str(line.value), real, target, met), strict=True):
            figure.text(at, y, text, color=colour, fontsize=8.5)  # type: ignore[attr-defined]
