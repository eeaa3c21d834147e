"""The figure of a comparison of synthesised days with real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activitymodule import files
from activitymodule.statistics.day_fidelity import measures
from activitymodule.statistics.day_fidelity.people import PersonDays, well_known
from activitymodule.workflows.day_history import ComparedHistory

# Okabe and Ito (2008): safe for colour-blind readers
_GROUPS = (
    ("real, tuned on", "#E69F00"),
    ("real, reported", "#D55E00"),
    ("synthetic, all seeds", "#0072B2"),
)


def draw(found: ComparedHistory, path: Path) -> None:
    """Write six panels as PNG: each group's distributions, autocorrelation and weekdays."""
    synthetic = [p for made in found.synthetic for p in (*made.tuned, *made.reported)]
    groups = [found.real.tuned, found.real.reported, synthetic]
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(2, 3)
    _cumulative(axes[0, 0], [measures.means(g, "steps") for g in groups], "a person's mean steps a day")
    _cumulative(
        axes[0, 1], [measures.relative(g, "steps") for g in groups], "steps of a day / the person's mean"
    )
    axes[0, 1].set_xlim(0, 3)
    _cumulative(axes[0, 2], [measures.worn_shares(g) for g in groups], "a person's share of worn days")
    lags = np.arange(1, measures.LAGS + 1)
    for group, (label, colour) in zip(groups, _GROUPS, strict=True):
        axes[1, 0].plot(lags, measures.autocorrelation(group, "steps"), color=colour, marker=".", label=label)
        axes[1, 1].plot(range(7), measures.weekdays(group, "steps"), color=colour, marker=".")
    axes[1, 0].axhline(0, color="#999999", linewidth=0.8)
    axes[1, 0].set(xlabel="days apart", ylabel="autocorrelation of steps", xticks=[1, 7, 14])
    axes[1, 1].set(ylabel="steps / the person's mean", xticks=range(7), ylim=(0.7, 1.3))
    axes[1, 1].set_xticklabels(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    for group, (_, colour) in zip(groups[::-1], _GROUPS[::-1], strict=True):
        _scatter(axes[1, 2], group, colour)
    axes[1, 2].set(xlabel="steps", ylabel="kcal", xlim=(0, 30_000), ylim=(1000, 5500))
    axes[1, 2].set_xticks([0, 10_000, 20_000, 30_000])
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.written_beside(path) as part:
        figure.savefig(part, dpi=110, metadata={"Software": None})


def _cumulative(axes: Axes, values: list[np.ndarray], label: str) -> None:
    for own, (_, colour) in zip(values, _GROUPS, strict=True):
        ordered = np.sort(own)
        axes.plot(
            ordered, np.arange(1, len(ordered) + 1) / len(ordered), color=colour, drawstyle="steps-post"
        )
    axes.set(xlabel=label, ylabel="share at or below", ylim=(0, 1))


def _scatter(axes: Axes, people: list[PersonDays], colour: str, most: int = 600) -> None:
    known = well_known(people)
    steps, kcal = (np.concatenate([p.worn_values(name) for p in known]) for name in ("steps", "kcal"))
    chosen = np.random.default_rng(0).permutation(len(steps))[:most]
    axes.plot(steps[chosen], kcal[chosen], ".", color=colour, markersize=2.5, alpha=0.5)
