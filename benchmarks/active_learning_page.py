"""Writes the results of active_learning.py into docs/; run alone it reads them from the JSON there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from summaries import write_between

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "active-learning.md"
FIGURES = DOCS / "active-learning.json"
PICTURE = DOCS / "figures" / "active-learning.svg"
MARKS = ("<!-- figures: made by benchmarks/active_learning.py -->", "<!-- end of figures -->")
TARGETS = (100, 200, 400)

Figures = dict[str, Any]
"""The JSON of active_learning.py."""


def write(figures: Figures) -> None:
    """Write the figures as JSON, the picture, and the tables of the page."""
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    draw(figures)
    write_between(PAGE, MARKS, table(figures))


_TITLES = {
    "minutes": "minutes of 49 people (random forest)",
    "windows": "10 s windows of 40 people (linear model)",
}


def table(figures: Figures) -> str:
    """Markdown tables, one a data set."""
    lines = []
    for name, found in figures["data"].items():
        curves, leads = found["curves"], found["lead_over_random"]
        lines += [
            f"**{_TITLES[name][0].upper()}{_TITLES[name][1:]}**, {len(figures['seeds'])} splits; all labels of the "
            f"pool: macro-F1 {found['all_labels_macro_f1']:.3f}",
            "",
            "| strategy | "
            + " | ".join(f"F1 at {stop}" for stop in TARGETS)
            + " | near-duplicates at 400 | people reached at 100 |",
            "|---|" + "---|" * (len(TARGETS) + 2),
        ]
        for strategy, stops in curves.items():
            cells = [
                f"{stops[str(s)]['macro_f1']['mean']:.3f} ± {stops[str(s)]['macro_f1']['sd']:.3f}"
                for s in TARGETS
            ]
            lines.append(
                f"| {strategy} | "
                + " | ".join(cells)
                + f" | {stops['400']['near_duplicates']['mean']:.2f} | "
                f"{stops['100']['people']['mean']:.0%} |"
            )
        for name, stops in leads.items():
            lead = [f"{stops[str(s)]['mean']:+.3f} ± {stops[str(s)]['standard_error']:.3f}" for s in TARGETS]
            lines.append(
                f"| *{name} minus random, paired by split (± standard error)* | "
                + " | ".join(lead)
                + " | | |"
            )
        lines.append("")
    return "\n".join(lines)


def draw(figures: Figures) -> None:
    """Macro-F1 by labels, one panel a data set."""
    matplotlib.rcParams["svg.hashsalt"] = "active-learning"
    first = next(iter(figures["data"].values()))
    colours = dict(zip(first["curves"], ("#b5432a", "#1f3b57", "#c9a227", "#7a9e7e", "#999999"), strict=True))
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    for axes, (name, found) in zip(
        np.atleast_1d(figure.subplots(1, len(figures["data"]))), figures["data"].items(), strict=True
    ):
        for strategy, stops in found["curves"].items():
            at = [int(stop) for stop in stops]
            mean = np.array([one["macro_f1"]["mean"] for one in stops.values()])
            error = np.array([one["macro_f1"]["sd"] for one in stops.values()]) / np.sqrt(
                len(figures["seeds"])
            )
            axes.plot(at, mean, color=colours[strategy], label=strategy, linewidth=1.8)
            axes.fill_between(
                at, mean - error, mean + error, color=colours[strategy], alpha=0.15, linewidth=0
            )
        axes.axhline(found["all_labels_macro_f1"], color="#999999", linestyle="--", linewidth=1)
        axes.set_title(_TITLES[name], fontsize=10)
        axes.set_xlabel("labels")
        axes.set_ylabel("macro-F1 on people held out")
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    write(json.loads(FIGURES.read_text(encoding="utf-8")))
