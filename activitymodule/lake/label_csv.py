"""Labels as CSV: one row an annotator and window, times in UTC."""

from __future__ import annotations

from collections.abc import Iterable

from activitymodule.lake.csv_text import Table, written
from activitymodule.lake.label_rows import imported
from activitymodule.store.import_export import EXPORT_COLUMNS, Exported, ImportRows

_REQUIRED = ("device_id", "window_start", "label")


def to_csv(rows: Iterable[Exported]) -> str:
    """Answers as CSV with a header; times in UTC, to the microsecond."""
    lines = [",".join(EXPORT_COLUMNS)]
    lines += (",".join(written(getattr(row, name)) for name in EXPORT_COLUMNS) for row in rows)
    return "\n".join(lines) + "\n"


def from_csv(text: str, *, annotator: str, window_seconds: float) -> ImportRows:
    """The answers of a file. Raises DataError, which names line and column."""
    table = Table(text, _REQUIRED, EXPORT_COLUMNS)
    restored = set(EXPORT_COLUMNS) <= set(table.header)
    return ImportRows(
        imported(place, values, annotator=annotator, window_seconds=window_seconds, restored=restored)
        for place, values in table
    )
