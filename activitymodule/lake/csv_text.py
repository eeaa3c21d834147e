"""CSV as this project writes and reads it: UTF-8, times in UTC, the same bytes in every locale; for files of people,
any separator of a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from activitymodule.errors import DataError
from activitymodule.text import csv_cell

_SEPARATORS = (",", ";", "\t")  # a spreadsheet's locale decides which one it writes
# a cell that begins so is a formula to a spreadsheet; the last four are to one in Japanese
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - they look alike


def _is_formula(text: str) -> bool:
    return text.lstrip("'").startswith(_FORMULA)


def written(value: object) -> str:
    """A cell. A text that a spreadsheet would take for a formula begins with an apostrophe, which `Table` takes away;
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


class Table:
    """A CSV file with a header.

    required, known : names of columns; name_of : how a name of the header is spelled. Raises DataError, which names
    the line, here and while the rows are read.
    """

    def __init__(
        self,
        text: str,
        required: Sequence[str],
        known: Sequence[str],
        name_of: Callable[[str], str] = str.strip,
    ) -> None:
        """Read the header."""
        self._text = text
        self.header, self._separator = self._found(required, known, name_of)

    def _found(
        self, required: Sequence[str], known: Sequence[str], name_of: Callable[[str], str]
    ) -> tuple[list[str], str]:
        """The names of the columns, and what separates them."""
        for separator in _SEPARATORS:
            try:
                cells = next(csv.reader(io.StringIO(self._text, newline=""), delimiter=separator), [])
            except csv.Error:
                cells = []
            found = [name_of(cell) for cell in cells]
            if set(required) <= set(found):
                if twice := [name for name in known if found.count(name) > 1]:
                    raise DataError(f"line 1: the column {twice[0]} is there twice")
                return found, separator
        first = name_of(next(iter(self._text.splitlines()), ""))
        missing = next((name for name in required if name not in first), required[-1])
        raise DataError(f"line 1: the file lacks the column {missing}; it needs {', '.join(required)}")

    def __iter__(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Each row: where it stands, and its cells by column."""
        # strict, or a quote that does not end would swallow the rest of the file
        lines = csv.reader(io.StringIO(self._text, newline=""), strict=True, delimiter=self._separator)
        line = 0
        try:
            for number, cells in enumerate(lines):
                place, line = f"line {line + 1}", lines.line_num
                if number == 0 or not any(cells):
                    continue
                if len(cells) > len(self.header):
                    raise DataError(
                        f"{place} has {len(cells)} cells, and the header {len(self.header)}; quote cells that hold "
                        f"{self._separator!r}"
                    )
                yield place, dict(zip(self.header, map(_read, cells), strict=False))
        except csv.Error as error:
            raise DataError(f"line {line + 1}: the file is no CSV: {error}") from None
