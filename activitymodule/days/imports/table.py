"""Tables of days of any maker or study, by a mapping: CSV, text or Parquet with a row a participant and day.

Of several rows of a day the fullest counts; days on which nothing was worn stay, with 0 minutes of wear and nothing
else, so that they are told apart from days that are missing.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, cast
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.days.imports import zones
from activitymodule.days.imports.building import Row, bounded
from activitymodule.days.imports.files import Guarded, each_file
from activitymodule.days.imports.importing import Imported
from activitymodule.days.imports.ledger import Ledger
from activitymodule.days.imports.table_mapping import MAPS, DayMapping, DayTable, bounds_of
from activitymodule.days.imports.workouts import kind_of
from activitymodule.days.local import zone_info
from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.identifiers import DEVICE_ID_TEXT, is_device_id
from activitymodule.telemetry.sources.tables.files import Block, is_table, missing_column, open_table
from activitymodule.telemetry.sources.tables.times import to_numbers
from activitymodule.telemetry.untrusted import readable

_UNWORN = {"wear_minutes": 0.0, "completeness": 0.0}
Key = tuple[str, date]


class _Found:
    """The rows of a table: by participant and day the fullest one, with what it is measured by."""

    def __init__(self) -> None:
        self.days: dict[Key, tuple[float, dict[str, float | str]]] = {}

    def add(self, key: Key, size: float, values: dict[str, float | str], ledger: Ledger) -> None:
        """Take a row, unless the day has a fuller one."""
        before = self.days.get(key)
        if before is None:
            self.days[key] = size, values
            return
        same = before[1] == values
        ledger.merged["row: duplicate" if same else "row of a day that another row has more of"] += 1
        ranks = [(one[0], len(one[1]), sorted(one[1].items(), key=str)) for one in (before, (size, values))]
        if str(ranks[1][2]) != str(ranks[0][2]) and (*ranks[1][:2], str(ranks[1][2])) > (
            *ranks[0][:2],
            str(ranks[0][2]),
        ):
            self.days[key] = size, values


def import_table(
    mapping: DayMapping,
    path: Path,
    participant: str | None = None,
    *,
    zone: str | None = None,
    default_zone: str = "UTC",
) -> Imported:
    """The daily records of tables at a path: files, folders, zip or tar; the same tables give the same records.

    participant : of tables that do not name theirs
    zone : of the days, an IANA name; without it the mapping's, then `default_zone`
    Raises ConfigError where mapping, participant or path cannot be right, DataError where a table is another one.
    """
    ledger = Ledger()
    name = zone or mapping.zone or default_zone
    local = zone_info(name)
    if zone is None and mapping.zone is None:
        ledger.noticed[f"zone {name}: the mapping names none; --zone says it"] += 1
    tables = (mapping, *mapping.also)
    for table in tables:
        if table.participant is None and participant is None:
            raise ConfigError(
                f"the mapping {mapping.name} does not say who the days are of; give --participant"
            )
        if table.participant is not None and participant is not None:
            raise ConfigError(f"the mapping {mapping.name} says who the days are of; leave --participant out")
    found = [_Found() for _ in tables]
    _read(tables, path, participant, found, ledger)
    rows = _joined(found, mapping, local, ledger)
    if not rows:
        raise DataError(f"{path} holds no row with a day; see `date` of the mapping {mapping.name}")
    return Imported(f"table:{mapping.name}", rows, ledger)


def _read(
    tables: tuple[DayTable, ...], path: Path, participant: str | None, found: list[_Found], ledger: Ledger
) -> None:
    names = []
    for name, stream in each_file(path, lambda one: True):
        place = next((k for k, table in enumerate(tables) if is_table(name) and _takes(table, name)), None)
        if place is None:
            names.append(name)
            ledger.leave_out(f"file {PurePosixPath(name).name[-60:]}")
        else:
            ledger.read["file"] += 1
            _file(tables[place], name, stream, participant, found[place], ledger)
    if not ledger.read["file"]:
        raise ConfigError(
            f"{path} holds no file that the mapping takes (files: {tables[0].files}); it holds "
            f"{', '.join(names[:4]) or 'nothing'}{' ...' if len(names) > 4 else ''}"
        )


def _takes(table: DayTable, name: str) -> bool:
    return fnmatch.fnmatch(name, table.files) or fnmatch.fnmatch(PurePosixPath(name).name, table.files)


def _file(
    table: DayTable, name: str, stream: Guarded, participant: str | None, found: _Found, ledger: Ledger
) -> None:
    def no_file_beside(other: str) -> np.ndarray:
        raise DataError(f"{name} needs {other}, and no table of days does")

    with readable(name), open_table(cast(IO[bytes], stream), name, table.format, no_file_beside) as opened:
        for column in table.names:
            if column not in opened.names:
                raise missing_column(column, opened.names, name)
        for column in opened.names:
            if column not in table.names:
                ledger.leave_out(f"column {column}")
        for block in opened.blocks(table.names):
            _block(table, block, participant, found, ledger)


def _block(table: DayTable, block: Block, participant: str | None, found: _Found, ledger: Ledger) -> None:
    columns = block.columns
    ledger.read["row"] += len(columns) + block.malformed
    ledger.leave_out("row of another length", block.malformed) if block.malformed else None
    people = _participants(table, columns, participant)
    days = _dates(table, columns.column(table.date.column))
    numbers = _Numbers(table, columns, ledger)
    values = {name: numbers.value(name) for name in table.columns}
    unworn = np.zeros(len(columns), bool)
    for one in table.not_worn:
        unworn |= np.logical_and.reduce([numbers.raw(name) == number for name, number in one.items()])
    workouts = _texts(columns.column(table.workout)) if table.workout else [None] * len(columns)
    size = np.nan_to_num(_size(table, numbers, values, len(columns)), nan=-1.0)
    for k, (who, day) in enumerate(zip(people, days, strict=True)):
        if who is None or day is None:
            ledger.leave_out("row without a participant" if who is None else "row without a date")
        elif unworn[k]:
            found.add((who, day), -1.0, dict(_UNWORN), ledger)
        else:
            row: dict[str, float | str] = {
                name: float(column[k]) for name, column in values.items() if not np.isnan(column[k])
            }
            if workouts[k]:
                row["workout"] = kind_of(str(workouts[k]))
            found.add((who, day), float(size[k]), row, ledger)


class _Numbers:
    """The numbers of a block, each column read once."""

    def __init__(self, table: DayTable, columns: pa.Table, ledger: Ledger) -> None:
        self._table, self._columns, self._ledger = table, columns, ledger
        self._known: dict[str, np.ndarray] = {}

    def raw(self, name: str) -> np.ndarray:
        """A column of the table, float64 (n,), NaN where unknown."""
        if name not in self._known:
            numbers, bad = to_numbers(self._columns.column(name), self._table.format.decimal == ",")
            if bad:
                self._ledger.leave_out(f"{name}: no number", bad)
            numbers = np.where(np.isin(numbers, self._table.missing), np.nan, numbers)
            self._known[name] = np.asarray(numbers, float)
        return self._known[name]

    def value(self, name: str) -> np.ndarray:
        """A column of daily records; what is out of its bounds is unknown, and counted."""
        low, high = bounds_of(name)
        total = np.sum(
            [self.raw(one) for one in self._table.columns[name].names], axis=0
        ) * self._table.factor(name)
        wrong = ~np.isnan(total) & ~((total >= low) & (total <= high))
        if wrong.any():
            self._ledger.leave_out(f"{name}: impossible value", int(wrong.sum()))
        return np.where(wrong, np.nan, total)


def _size(table: DayTable, numbers: _Numbers, values: dict[str, np.ndarray], n: int) -> np.ndarray:
    if table.fullest is not None:
        return numbers.raw(table.fullest)
    return values.get("steps", values.get("kcal", np.zeros(n)))


def _participants(table: DayTable, columns: pa.Table, participant: str | None) -> list[str | None]:
    who = table.participant
    if who is None or who.column is None:
        one = participant or (who.prefix + (who.value or "") if who else "")
        return [_checked(one)] * len(columns)
    return [
        None if text is None or not text.strip() else _checked(who.prefix + text.strip())
        for text in _texts(columns.column(who.column))
    ]


@lru_cache(maxsize=100_000)
def _checked(participant: str) -> str:
    if not is_device_id(participant):
        raise DataError(f"{participant[:140]!a} is no participant: it must have {DEVICE_ID_TEXT}")
    return participant


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    if pa.types.is_floating(column.type):  # the id 1503960366.0 of a column with gaps
        column = pc.cast(column, pa.int64(), safe=True)
    return cast("list[str | None]", pc.cast(column, pa.string()).to_pylist())


def _dates(table: DayTable, column: pa.ChunkedArray) -> Iterator[date | None]:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        for one in column.to_pylist():
            yield one.date() if isinstance(one, datetime) else one
        return
    for text in _texts(column):
        yield None if text is None else _date(text.strip(), table.date.formats)


@lru_cache(maxsize=100_000)
def _date(text: str, formats: tuple[str, ...]) -> date | None:
    for form in formats:
        for part in (text, text.split("T")[0].split(" ")[0]):
            try:
                found = datetime.strptime(part, form).date()
            except ValueError:
                continue
            if 1990 <= found.year < 2100:
                return found
    return None


def _joined(found: list[_Found], mapping: DayMapping, zone: ZoneInfo, ledger: Ledger) -> list[Row]:
    first, *others = found
    rows = []
    for who, day in sorted(first.days):
        values = dict(first.days[who, day][1])
        if values == _UNWORN:
            ledger.noticed["day not worn"] += 1
        else:
            for other in others:
                values |= {k: v for k, v in other.days.get((who, day), (0, {}))[1].items() if k not in values}
        start, end = zones.day_starts(day, 1, zone)
        row: Row = {
            "participant": who,
            "date": day,
            "source": f"table:{mapping.name}",
            "zone": zone.key,
            "hours": float(end - start) / 3600,
        }
        row |= {name: value for name, value in values.items() if name.partition(".")[0] not in MAPS}
        for name in MAPS:
            parts = {k.partition(".")[2]: v for k, v in values.items() if k.partition(".")[0] == name}
            if parts:
                row[name] = dict(sorted(parts.items()))
        rows.append(bounded(row, ledger))
    alone = sum(len(set(other.days) - set(first.days)) for other in others)
    if alone:
        ledger.leave_out("row of a further table whose day is not there", alone)
    return rows
