"""Pictures of models on days for the registry and for docs; synthetic figures say so in their title."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from activitymodule.behaviour.person import NAMES
from activitymodule.behaviour.personas import PersonaReport
from activitymodule.behaviour.sizes import SizeRow

_INK, _LIGHT, _RED = "#1f3b57", "#9db4c9", "#b5473c"


def data_word(synthetic: bool) -> str:
    """What stands in titles and tables."""
    return "synthetic" if synthetic else "recorded"


def cluster_counts_figure(report: PersonaReport, path: Path) -> None:
    """Silhouette and inertia by the number of clusters, with the spread over seeds."""
    figure = Figure(figsize=(8.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    x = [one.clusters for one in report.counts]
    for axes, name, best in (
        (left, "silhouette", report.by_silhouette),
        (right, "inertia", report.by_elbow),
    ):
        spreads = [getattr(one, name) for one in report.counts]
        mean, sd = np.array([one.mean for one in spreads]), np.array([one.sd for one in spreads])
        axes.errorbar(x, mean, yerr=sd, color=_INK, marker="o", capsize=3)
        axes.axvline(best, color=_LIGHT, linestyle="--", label=f"would choose {best}")
        axes.axvline(report.clusters, color=_RED, linestyle=":", label=f"taken: {report.clusters}")
        axes.set_xlabel("personas")
        axes.set_ylabel(f"{name}, mean and sd over seeds")
        axes.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{report.people} people, {data_word(report.synthetic)} days", fontsize=10)
    figure.savefig(path, dpi=110)


def centroids_figure(report: PersonaReport, path: Path) -> None:
    """Centroids as standard scores, a row a persona."""
    scores = np.array([[one.scores[name] for name in NAMES] for one in report.personas])
    figure = Figure(figsize=(8.0, 1.4 + 0.5 * len(scores)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(scores, cmap="RdBu_r", vmin=-2.5, vmax=2.5, aspect="auto")
    axes.set_xticks(range(len(NAMES)), NAMES)
    axes.set_yticks(range(len(scores)), [f"{one.name} ({one.share:.0%})" for one in report.personas])
    for row, values in enumerate(scores):
        for column, value in enumerate(values):
            colour = "white" if abs(value) > 1.5 else "black"
            axes.text(column, row, f"{value:+.1f}", ha="center", va="center", color=colour, fontsize=9)
    figure.colorbar(picture, ax=axes, label="standard deviations from the mean person")
    axes.set_title(f"Personas of {report.people} people, {data_word(report.synthetic)} days", fontsize=10)
    figure.savefig(path, dpi=110)


def calories_figure(truth: np.ndarray, predicted: np.ndarray, synthetic: bool, path: Path) -> None:
    """Predicted against true calories of days of people held out, both (n,), kcal."""
    figure = Figure(figsize=(5.2, 5.0), layout="constrained")
    axes = figure.subplots()
    low, high = float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))
    axes.hexbin(truth, predicted, gridsize=45, bins="log", mincnt=1, cmap="Blues")
    axes.plot([low, high], [low, high], color=_INK, linewidth=1, linestyle="--")
    axes.set_xlabel("true, kcal a day")
    axes.set_ylabel("predicted, kcal a day")
    axes.set_title(f"People held out, {data_word(synthetic)} days", fontsize=10)
    figure.savefig(path, dpi=110)


def curves_figure(stops: np.ndarray, scores: dict[str, np.ndarray], synthetic: bool, path: Path) -> None:
    """ROC and precision-recall curves of models on the test part; stops bool (n,), scores (n,) by name."""
    figure = Figure(figsize=(8.4, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, score), colour in zip(scores.items(), (_INK, _RED), strict=False):
        false, true, _ = roc_curve(stops, score)
        left.plot(false, true, color=colour, label=name)
        precision, recall, _ = precision_recall_curve(stops, score)
        right.plot(recall, precision, color=colour, label=name)
    left.plot([0, 1], [0, 1], color=_LIGHT, linestyle="--")
    right.axhline(float(stops.mean()), color=_LIGHT, linestyle="--", label="no skill")
    left.set_xlabel("false positive rate")
    left.set_ylabel("true positive rate")
    right.set_xlabel("recall")
    right.set_ylabel("precision")
    right.legend(frameon=False, fontsize=8)
    figure.suptitle(f"Who stops wearing the watch: test part, {data_word(synthetic)} days", fontsize=10)
    figure.savefig(path, dpi=110)


def sizes_figure(rows: Sequence[SizeRow], synthetic: bool, path: Path) -> None:
    """R2 against the file's size, a point a forest."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for k, row in enumerate(sorted(rows, key=lambda one: one.file_megabytes)):
        at = row.file_megabytes, row.r2
        axes.scatter(*at, color=_RED if row.shipped else _INK)
        # forests of the same R2 lie side by side: their names stand one below the other
        axes.annotate(
            row.name,
            at,
            fontsize=7,
            xytext=(-4, -26 - 13 * (k % 6)),
            textcoords="offset points",
            ha="right",
            arrowprops={"arrowstyle": "-", "color": _LIGHT, "linewidth": 0.7},
        )
    axes.margins(x=0.18, y=0.2)
    axes.axvline(50, color=_LIGHT, linestyle="--", label="50 MB")
    axes.set_xscale("log")
    axes.set_xlabel("file, MB")
    axes.set_ylabel("R2 on people held out")
    axes.legend(frameon=False)
    axes.set_title(f"Forests of calories by size, {data_word(synthetic)} days", fontsize=10)
    figure.savefig(path, dpi=110)
