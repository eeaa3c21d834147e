"""Pictures of a model for its folder in the registry: what it mixes up, and whether its confidence is earned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from activitymodule.models.calibration import expected_calibration_error, reliability
from activitymodule.models.comparison import Comparison

_INK = "#1f3b57"
_LIGHT = "#9db4c9"


def confusion_figure(counts: np.ndarray, labels: tuple[str, ...], path: Path) -> None:
    """Shares of each true activity by predicted activity; counts (n_labels, n_labels), rows are truths."""
    n = len(labels)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.4 + 0.62 * n
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(n), labels, rotation=45, ha="right")
    axes.set_yticks(
        range(n), [f"{label} ({int(count)})" for label, count in zip(labels, counts.sum(1), strict=True)]
    )
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (windows)")
    for i in range(n):
        for j in range(n):
            if counts[i, j]:
                colour = "white" if share[i, j] > 0.55 else "black"
                axes.text(j, i, f"{share[i, j]:.0%}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_title("People held out: share of each activity, by prediction", fontsize=10)
    figure.savefig(path, dpi=110)


def reliability_figure(probabilities: np.ndarray, truth: np.ndarray, path: Path) -> None:
    """Accuracy by confidence; probabilities (n_windows, n_labels) of held-out people, truth int (n_windows,)."""
    bars = reliability(probabilities, truth)
    there = bars.share > 0
    figure = Figure(figsize=(5.2, 5.4), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    top.plot([0, 1], [0, 1], color=_LIGHT, linestyle="--", label="as confident as right")
    top.plot(bars.confidence[there], bars.accuracy[there], color=_INK, marker="o", label="measured")
    top.set_ylabel("share that is right")
    top.set_ylim(0, 1.02)
    top.legend(loc="upper left", frameon=False)
    error = expected_calibration_error(probabilities, truth)
    top.set_title(f"People held out: expected calibration error {error:.3f}", fontsize=10)
    width = 1 / len(bars.share)
    bottom.bar((np.arange(len(bars.share)) + 0.5) * width, bars.share, width * 0.9, color=_LIGHT)
    bottom.set_ylabel("windows")
    bottom.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    bottom.set_xlabel("confidence: probability of the predicted activity")
    bottom.set_xlim(0, 1)
    figure.savefig(path, dpi=110)


def energy_figure(predicted: np.ndarray, truth: np.ndarray, path: Path) -> None:
    """Predicted against true energy of held-out people, both (n_windows,), kcal/min."""
    figure = Figure(figsize=(5.4, 5.2), layout="constrained")
    axes = figure.subplots()
    top = float(max(np.quantile(truth, 0.999), np.quantile(predicted, 0.999), 1.0)) * 1.05
    picture = axes.hexbin(
        truth, predicted, gridsize=45, extent=(0, top, 0, top), bins="log", mincnt=1, cmap="Blues"
    )
    axes.plot([0, top], [0, top], color=_INK, linewidth=1, linestyle="--")
    axes.set_xlabel("true, kcal/min")
    axes.set_ylabel("predicted, kcal/min")
    axes.set_title("People held out", fontsize=10)
    figure.colorbar(picture, ax=axes, label="windows")
    figure.savefig(path, dpi=110)


def comparison_figure(comparison: Comparison, path: Path) -> None:
    """Families, the best on top: macro-F1 with its interval and that of each person, calibration error, speed."""
    rows = comparison.families[::-1]
    places = np.arange(len(rows))
    figure = Figure(figsize=(11, 1.4 + 0.55 * len(rows)), layout="constrained")
    quality, calibration, speed = figure.subplots(1, 3, sharey=True, width_ratios=(3, 2, 2))
    dice = np.random.default_rng(0)
    for place, row in zip(places, rows, strict=True):
        own = np.array(comparison.person_macro_f1[row.family])
        quality.scatter(own, place + dice.uniform(-0.25, 0.25, len(own)), s=8, color=_LIGHT, linewidths=0)
        over = row.macro_f1_over_people
        quality.plot([over.low, over.high], [place, place], color=_INK, linewidth=2)
        quality.plot(row.macro_f1, place, "o", color=_INK, markersize=6)
    quality.set_yticks(places, [row.family + (" (worse)" if row.worse else "") for row in rows])
    quality.set_xlabel("macro-F1 with 95 % interval; small: each person")
    calibration.hlines(places, [r.ece for r in rows], [r.ece_calibrated for r in rows], color=_LIGHT)
    calibration.plot([r.ece for r in rows], places, "o", mfc="white", color=_INK, label="as trained")
    calibration.plot([r.ece_calibrated for r in rows], places, "o", color=_INK, label="calibrated")
    calibration.set_xlim(left=0)
    calibration.set_xlabel("expected calibration error")
    calibration.legend(frameon=False, fontsize=8)
    speed.plot([r.windows_per_second for r in rows], places, "o", color=_INK)
    speed.set_xscale("log")
    speed.set_xlabel("windows/s on one core")
    title = f"{comparison.people} people held out in {comparison.folds} folds, {comparison.windows} windows"
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110)
