"""What the verbs share to print rows: a table for people, JSON and CSV for scripts."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    10: "\\n",
    13: "\\r",
    9: "\\t",
}


def plain(value: Any) -> Any:
    """A value of the store as JSON has it: ISO times, seconds for intervals, numbers, text."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, float):
        # JSON knows no infinities
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(plain(value), ensure_ascii=False, indent=None if isinstance(value, list) else 2))


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a header on stdout."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if value is None else plain(value) for value in row])


def safe(text: str, longest: int | None = None) -> str:
    """Text that cannot move a terminal's cursor: control characters escaped; cut with an ellipsis."""
    text = text.translate(_ESCAPED)
    if longest is not None and len(text) > longest:
        text = text[: max(longest - 1, 0)] + "…"
    return text


def shown(value: Any, longest: int | None = 200) -> str:
    """A value as a cell of a table for people."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():,.1f} s"
    if isinstance(value, float | Decimal):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list | tuple):
        return safe(", ".join(shown(one, None) for one in value), longest)
    if isinstance(value, dict):
        return safe(json.dumps(plain(value), ensure_ascii=False), longest)
    return safe(str(plain(value)), longest)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str | None = None,
    longest: int | None = 200,
) -> None:
    """A table for people on stdout; numbers to the right. Times are UTC. In a pipe it is as wide as it needs."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    held = [list(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, title=title, title_justify="left", pad_edge=False)
    for i, name in enumerate(columns):
        numeric = any(isinstance(row[i], int | float | Decimal) for row in held)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in held:
        table.add_row(*(Text(shown(value, longest)) for value in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)
    console.print(table)
