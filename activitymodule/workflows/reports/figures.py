"""Pictures of daily records for the report."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from matplotlib.figure import Figure

from activitymodule.lake.exports import read_export

_INK = "#1f3b57"
_FEW_DAYS = 31


def draw_days(exports: Path, path: Path) -> None:
    """People who wore their watch, and their steps and active minutes, by day."""
    totals = read_export(exports, "totals")
    if totals is None or not len(totals):
        return
    dates = totals.column("date").to_pylist()
    figure = Figure(figsize=(8.2, 5.4), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    for one, name, label in zip(
        axes,
        ("worn", "steps", "active_minutes"),
        ("people who wore\ntheir watch", "steps,\nmean", "active minutes,\nmean"),
        strict=True,
    ):
        # a line needs two days beside each other to be seen
        marker = "o" if len(dates) <= _FEW_DAYS else None
        one.plot(
            dates, totals.column(name).to_pylist(), color=_INK, linewidth=1.2, marker=marker, markersize=4
        )
        one.set_ylabel(label)
        one.set_ylim(bottom=0)
        one.grid(alpha=0.25)
    if len(dates) <= _FEW_DAYS:
        axes[-1].set_xlim(dates[0] - timedelta(1), dates[-1] + timedelta(1))
        axes[-1].set_xticks(dates[:: -(-len(dates) // 8)])
    figure.autofmt_xdate()
    figure.savefig(path, dpi=110, metadata={"Software": None})
