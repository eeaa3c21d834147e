"""The picture of a closed loop: macro-F1 and the F1 of each activity, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from activitymodule import files
from activitymodule.workflows.closed_loop import Loop


def draw(loop: Loop, path: Path) -> None:
    """Both versions on people neither has seen, or by labels where recorded people streamed, as an SVG."""
    if loop.recorded is not None and loop.recorded.curves:
        draw_curves(loop.recorded.curves, f"{len(loop.recorded.never)} people who were never asked", path)
        return
    dark, light = "#1f4e79", "#9db8d2"
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2.2))
    for k, (one, colour) in enumerate(((loop.before, light), (loop.after, dark))):
        left.errorbar(
            k, one.macro_f1, [[one.macro_f1 - one.low], [one.high - one.macro_f1]],
            fmt="o", color=colour, capsize=5, markersize=8, linewidth=2,
        )  # fmt: skip
        left.annotate(f"{one.macro_f1:.2f}", (k, one.macro_f1), (10, -3), textcoords="offset points")
    left.set_xlim(-0.5, 1.7)
    left.set_ylim(0, 1)
    left.set_xticks(
        (0, 1), (f"version {loop.before.version}\nbefore", f"version {loop.after.version}\nafter")
    )
    left.set_title("macro-F1, 95 % over people", fontsize=10)
    labels = sorted(loop.after.per_label, key=lambda label: loop.after.per_label[label])
    for k, label in enumerate(labels):
        values = loop.before.per_label[label], loop.after.per_label[label]
        right.plot(values, (k, k), color=light, linewidth=2, zorder=1)
        right.scatter(values[0], k, color=light, zorder=2, s=50)
        right.scatter(values[1], k, color=dark, zorder=2, s=50)
    right.set_yticks(range(len(labels)), labels)
    right.set_xlim(0, 1)
    right.set_title("F1 of each activity", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x" if axes is right else "y", color="#e6e6e6")
        axes.set_axisbelow(True)
    figure.suptitle(
        f"{loop.teaching} training labels, {loop.audit} audit labels; "
        f"{loop.people} people neither model has seen",
        fontsize=11,
    )
    _save(figure, path)


def draw_curves(curves: Mapping[str, Sequence[Sequence[float]]], title: str, path: Path) -> None:
    """Accuracy on people who were never asked, by labels, as an SVG. curves : name -> (labels, accuracy, and
    perhaps its standard error)"""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for (name, points), colour in zip(curves.items(), ("#1f4e79", "#c0762c", "#6b8e23"), strict=False):
        columns = list(zip(*points, strict=True))
        error = columns[2] if len(columns) > 2 else None
        axes.errorbar(columns[0], columns[1], error, fmt="o-", color=colour, capsize=4, label=name)
        axes.axhline(columns[1][0], color="#9a9a9a", linestyle=":", linewidth=1)
    axes.set_xlabel("labels, the audit share among them")
    axes.set_ylabel("accuracy on people never asked")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6")
    axes.legend(frameon=False, loc="lower right")
    axes.set_title(title, fontsize=10)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.written_beside(path) as part:
        figure.savefig(part, metadata={"Date": None})
