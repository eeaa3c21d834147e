"""How an unknown text file is written: its encoding, delimiter, decimal separator, header, and a sample of its rows."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass, field

from activitymodule.errors import DataError

_DELIMITERS = (",", ";", "\t", "|", " ")
_DOT = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*")
_COMMA = re.compile(r"\s*[-+]?(\d+(,\d*)?|,\d+)([eE][-+]?\d+)?\s*")
_TIME = re.compile(r".*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|.*\d{1,2}:\d{2}(:\d{2}.*)?")


@dataclass(frozen=True)
class Layout:
    """What `format` of a mapping should say, why, and the first rows. rate_hz : what the lines before them name."""

    encoding: str
    delimiter: str
    decimal: str
    skip_rows: int
    header_rows: int
    names: list[str]
    rows: list[list[str]]
    row_end: str = ""
    rate_hz: float | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    def numbers(self, column: int) -> list[float | None]:
        """A column's values as numbers, None where one is none."""
        pattern = _COMMA if self.decimal == "," else _DOT
        found: list[float | None] = []
        for row in self.rows:
            value = row[column] if column < len(row) else ""
            found.append(float(value.replace(",", ".")) if pattern.fullmatch(value) else None)
        return found


def encoding_of(head: bytes) -> tuple[str, str]:
    """The encoding of a file by its first bytes, and why."""
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8", "it begins with a byte order mark of UTF-8"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", "it begins with a byte order mark of UTF-16"
    if head[1:200:2].count(0) > 50 or head[:200:2].count(0) > 50:
        little = head[1:200:2].count(0) > head[:200:2].count(0)
        return ("utf-16-le" if little else "utf-16-be"), "every other byte is 0, as in UTF-16"
    try:
        head[: len(head) - 4].decode("utf-8")
        return "utf-8", "all of it is UTF-8"
    except UnicodeDecodeError as error:
        if error.start > len(head) - 8:
            return "utf-8", "all of it is UTF-8"
        return (
            "cp1252",
            f"byte {error.start} is not UTF-8; cp1252 (Latin-1) is likely, see whether names are right",
        )


def layout_of(head: bytes) -> Layout:
    """The layout of a delimited text from its beginning. Raises DataError where it holds no table."""
    encoding, why = encoding_of(head)
    lines = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace").splitlines()
    if len(head) >= 1 << 16:
        lines = lines[:-1]  # the last may be cut off
    best: tuple[float, Layout] | None = None
    for delimiter in _DELIMITERS:
        for row_end in ("", ";", ","):
            if row_end and (row_end == delimiter == "," or not _ends_with(lines, row_end)):
                continue
            found = _by(lines, delimiter, row_end)
            if found is not None and (best is None or found[0] > best[0] + 1e-9):
                best = found
    if best is None:
        raise DataError("no table of numbers is recognised in it; write the mapping by hand")
    found_layout = best[1]
    return Layout(
        encoding,
        found_layout.delimiter,
        found_layout.decimal,
        found_layout.skip_rows,
        found_layout.header_rows,
        found_layout.names,
        found_layout.rows,
        found_layout.row_end,
        found_layout.rate_hz,
        {"encoding": why} | found_layout.reasons,
    )


def _ends_with(lines: list[str], ending: str) -> bool:
    last = [line.rstrip() for line in lines[-50:] if line.strip()]
    return bool(last) and all(line.endswith(ending) for line in last)


def _by(lines: list[str], delimiter: str, row_end: str) -> tuple[float, Layout] | None:
    """How well a delimiter makes a table of the lines, and the layout; None where it does not."""
    rows = [_split(line, delimiter, row_end) for line in lines]
    tail = rows[len(rows) // 2 :]
    if not tail:
        return None
    width, count = Counter(len(row) for row in tail if row).most_common(1)[0]
    if width < 2:
        return None
    regular = [row for row in tail if len(row) == width]
    values = [value for row in regular for value in row if value]
    dots = sum(bool(_DOT.fullmatch(value)) for value in values)
    commas = sum(bool(_COMMA.fullmatch(value)) for value in values)
    decimal = "," if commas > dots else "."
    good = max(dots, commas) + sum(bool(_TIME.fullmatch(value)) for value in values)
    if not values or max(dots, commas) < len(regular):
        return None
    pattern = _COMMA if decimal == "," else _DOT

    def is_data(row: list[str]) -> bool:
        numbers = sum(bool(pattern.fullmatch(value) or _TIME.fullmatch(value)) for value in row if value)
        return len(row) == width and 2 * numbers >= sum(bool(value) for value in row) > 0

    start = next(
        (i for i, row in enumerate(rows) if is_data(row) and all(map(is_data, rows[i : i + 3]))), None
    )
    if start is None:
        return None
    header = start
    while header > 0 and len(rows[header - 1]) == width and not is_data(rows[header - 1]):
        header -= 1
    names = rows[header] if header < start else [str(i + 1) for i in range(width)]
    before = " ".join(lines[:header])
    rate = re.search(r"(\d+(?:\.\d+)?)\s*Hz", before)
    reasons = {
        "delimiter": f"{count} of {len(tail)} lines have {width} values then",
        "decimal": f"{max(dots, commas):,} of {len(values):,} values are numbers then",
    }
    score = count / len(tail) * min(1.0, good / len(values)) * (1 - 0.3 / width) - (0.01 if row_end else 0.0)
    layout = Layout(
        "", delimiter, decimal, header, start - header, names, rows[start:], row_end,
        float(rate[1]) if rate else None, reasons,
    )  # fmt: skip
    return score, layout


def _split(line: str, delimiter: str, row_end: str) -> list[str]:
    line = line.strip("\r\n\0\ufeff")
    if row_end:
        line = line.rstrip().removesuffix(row_end)
    if delimiter == " ":
        return line.split()
    return (
        [value.strip() for value in next(csv.reader([line], delimiter=delimiter), [])] if line.strip() else []
    )
