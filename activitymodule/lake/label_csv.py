"""Labels as CSV: UTF-8, comma, times in UTC; the same bytes in every locale."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from activitymodule.errors import DataError
from activitymodule.lake.label_rows import imported
from activitymodule.store.import_export import EXPORT_COLUMNS, Exported, Imported, ImportRows
from activitymodule.text import csv_cell

_REQUIRED = ("device_id", "window_start", "label")
_SEPARATORS = (",", ";", "\t")  # a spreadsheet's locale decides which one it writes
# a cell that begins so is a formula to a spreadsheet; the last four are to one in Japanese
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - they look alike


def _is_formula(text: str) -> bool:
    return text.lstrip("'").startswith(_FORMULA)


def _written(value: object) -> str:
    """A cell. A text that a spreadsheet would take for a formula begins with an apostrophe, which `_read` takes away;
    one that begins with apostrophes and then so has one more."""
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(UTC).isoformat()
        case bool():
            return "true" if value else "false"
        case str():
            return csv_cell(f"'{value}" if _is_formula(value) else value)
    return str(value)


def _read(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def to_csv(rows: Iterable[Exported]) -> str:
    """Answers as CSV with a header; times in UTC, to the microsecond."""
    lines = [",".join(EXPORT_COLUMNS)]
    lines += (",".join(_written(getattr(row, name)) for name in EXPORT_COLUMNS) for row in rows)
    return "\n".join(lines) + "\n"


def from_csv(text: str, *, annotator: str, window_seconds: float) -> ImportRows:
    """The answers of a file. Raises DataError, which names line and column."""
    return ImportRows(_rows(text, annotator, window_seconds))


def _rows(text: str, annotator: str, window_seconds: float) -> Iterator[Imported]:
    header, separator = _header(text)
    restored = set(EXPORT_COLUMNS) <= set(header)
    # strict, or a quote that does not end would swallow the rest of the file
    lines = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    line = 0
    try:
        for number, cells in enumerate(lines):
            place, line = f"line {line + 1}", lines.line_num
            if number == 0 or not any(cells):
                continue
            if len(cells) > len(header):
                raise DataError(
                    f"{place} has {len(cells)} cells, and the header {len(header)}; quote cells that hold "
                    f"{separator!r}"
                )
            values = dict(zip(header, map(_read, cells), strict=False))
            yield imported(
                place, values, annotator=annotator, window_seconds=window_seconds, restored=restored
            )
    except csv.Error as error:
        raise DataError(f"line {line + 1}: the file is no CSV: {error}") from None


def _header(text: str) -> tuple[list[str], str]:
    """The names of the columns, and what separates them."""
    for separator in _SEPARATORS:
        try:
            cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        except csv.Error:
            cells = []
        found = [cell.strip() for cell in cells]
        if set(_REQUIRED) <= set(found):
            if twice := [name for name in EXPORT_COLUMNS if found.count(name) > 1]:
                raise DataError(f"line 1: the column {twice[0]} is there twice")
            return found, separator
    first = next(iter(text.splitlines()), "")
    missing = next((name for name in _REQUIRED if name not in first), "label")
    raise DataError(f"line 1: the file lacks the column {missing}; it needs {', '.join(_REQUIRED)}")
