"""The files of a report: what there is to show and to download."""

from __future__ import annotations

from pathlib import Path

INGESTION, FEATURES, METRICS, INDEX = (
    "ingestion_summary.json",
    "features_summary.json",
    "metrics.json",
    "index.html",
)
NOT_TRAINED = "not_trained"
"""The part of the features that says which models have no figures, and why."""
_SINGLE = (INDEX, INGESTION, FEATURES, METRICS, "metrics.csv")
_FOLDERS = {"figures": "*.png", "dashboard": "*.parquet"}


def report_files(folder: Path) -> dict[str, Path]:
    """The files of the report in this folder: name relative to it -> path."""
    found = {name: folder / name for name in _SINGLE if (folder / name).is_file()}
    for below, pattern in _FOLDERS.items():
        found |= {
            f"{below}/{path.name}": path for path in sorted((folder / below).glob(pattern)) if path.is_file()
        }
    return found
