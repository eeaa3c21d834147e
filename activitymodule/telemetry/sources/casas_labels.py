"""Labels of CASAS studies: casas_labels.csv maps their spellings to activities."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=1)
def label_table() -> dict[str, str | None]:
    """Spelling -> activity, None where it is not wanted (casas_labels.csv)."""
    text = (resources.files(__package__) / "casas_labels.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["label"]: row["activity"] or None for row in rows}


def activity_of(
    labels: Sequence[str | None], table: dict[str, str | None]
) -> tuple[list[str | None], dict[str, int]]:
    """The activity of each label (None where it has none), and counts of the labels without one."""
    noticed = Counter[str]()
    activities: list[str | None] = []
    for label in labels:
        label = label.strip() if label else None
        activities.append(table.get(label) if label else None)
        if label and label not in table:
            noticed[f"unknown_label:{label}"] += 1
        elif label and table[label] is None:
            noticed[f"unwanted_label:{label}"] += 1
    return activities, dict(noticed)
