"""Summaries of several measurements."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

Json = dict[str, Any]
"""A document of results."""


def spread(values: list[float], digits: int = 0) -> dict[str, float]:
    """Median, least and most of the runs, and how many there are."""
    return {
        "median": round(statistics.median(values), digits),
        "least": round(min(values), digits),
        "most": round(max(values), digits),
        "runs": len(values),
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    ordered = sorted(seconds)
    of = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {
        name: round(ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1000, 1) for name, q in of.items()
    }


def write_between(document: Path, marks: tuple[str, str], content: str) -> None:
    """Replace what a document has between two marks, which stay."""
    before, _, rest = document.read_text(encoding="utf-8").partition(marks[0])
    after = rest.partition(marks[1])[2]
    document.write_text(f"{before}{marks[0]}\n\n{content}\n{marks[1]}{after}", encoding="utf-8")
