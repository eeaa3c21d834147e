"""What the verbs print: JSON and CSV for scripts, tables for people."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from activitymodule.models.evaluation.slices import SliceFigures
from activitymodule.text import csv_cell

_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    10: "\\n",
    13: "\\r",
    9: "\\t",
}


def jsonable(value: Any) -> Any:
    """A result as JSON has it: models and dataclasses as objects, ISO times, seconds for intervals, null for NaN and
    infinity."""
    match value:
        case BaseModel():
            return jsonable(value.model_dump())
        case Enum():
            return value.value
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal() if not value.is_finite():
            return None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case bytes() | memoryview():
            return bytes(value).decode("utf-8", "backslashreplace")
        case float():
            return value if value == value and abs(value) != float("inf") else None
        case Path():
            return str(value)
        case dict():
            return {str(key): jsonable(one) for key, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [jsonable(one) for one in value]
        case _ if is_dataclass(value):
            return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    return value


def json_line(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(jsonable(value), ensure_ascii=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout: indented on a terminal, on one line in a pipe."""
    print(
        json.dumps(jsonable(value), ensure_ascii=False, indent=2) if sys.stdout.isatty() else json_line(value)
    )


def print_text(text: str) -> None:
    """The text of a file on stdout: in UTF-8 and with its line ends as they are, whatever the locale."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a header on stdout."""
    for row in (columns, *rows):
        print(",".join("" if value is None else csv_cell(str(jsonable(value))) for value in row))


def safe(text: str, longest: int | None = None) -> str:
    """Text that cannot control a terminal: control characters escaped; cut with an ellipsis."""
    text = text.translate(_ESCAPED)
    if longest is not None and len(text) > longest:
        text = text[: max(longest - 1, 0)] + "…"
    return text


def cell(value: Any, longest: int | None = 200) -> str:
    """A value as people read it in a table or a sentence. Times are UTC."""
    match value:
        case None:
            return "-"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case timedelta():
            return f"{value.total_seconds():,.1f} s"
        case float() | Decimal() if not math.isfinite(value):
            return str(Decimal(value))  # NaN, Infinity, -Infinity, as psql shows them
        case float() | Decimal():
            return f"{value:,.3f}".rstrip("0").rstrip(".")
        case list() | tuple():
            return safe(", ".join(cell(one, None) for one in value), longest)
        case dict():
            return safe(json_line(value), longest)
    return safe(str(jsonable(value)), longest)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str | None = None,
    longest: int | None = 200,
) -> None:
    """A table for people on stdout, numbers to the right. In a pipe it is as wide as it needs.

    A cell that is a rich Text keeps its style.
    """
    held = [list(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, title=title, title_justify="left", pad_edge=False)
    for i, name in enumerate(columns):
        numeric = any(isinstance(row[i], int | float | Decimal) for row in held)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in held:
        table.add_row(*(value if isinstance(value, Text) else Text(cell(value, longest)) for value in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)
    console.print(table)


def print_slices(found: Sequence[SliceFigures]) -> None:
    """The figures of groups, such as device models, as a table."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    print_table(
        (
            "of",
            "group",
            "windows",
            "people",
            "accuracy",
            "macro-F1",
            "confidence",
            "calibration error",
            "coverage",
        ),
        [
            (
                one.kind if one.kind != one.name else "",
                one.name,
                one.windows,
                one.people,
                *map(
                    share, (one.accuracy, one.macro_f1, one.confidence, one.calibration_error, one.coverage)
                ),
            )
            for one in found
        ],
        title="by device model and age band (not smoothed)",
    )
