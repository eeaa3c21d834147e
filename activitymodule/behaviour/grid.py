"""Daily records of many people as arrays of people x days: what every model on days computes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.days.columns import COLUMNS, SCHEMA, WORN_MINUTES
from activitymodule.errors import DataError, NotEnoughDataError

SYNTHETIC = "synthetic"
_HOURS = 24  # the 25th hour of a day counts with the 24th
NUMBERS: tuple[str, ...] = tuple(c.name for c in COLUMNS if pa.types.is_floating(c.type))


@dataclass(frozen=True)
class DayGrid:
    """Daily records of n people over d days in a row. A day without a record is NaN everywhere.

    people : sorted; first : of the days; there : bool (n, d), whether there is a record; numbers : column -> float64
    (n, d); minutes : activity -> float64 (n, d); workout : object (n, d), None without one; hours : float32 (n, d, 24),
    active minutes by local hour; extras : columns beyond the table of columns, object or float64 (n, d)
    synthetic : whether any record is of a synthesised person
    """

    people: tuple[str, ...]
    first: date
    there: np.ndarray
    numbers: Mapping[str, np.ndarray]
    minutes: Mapping[str, np.ndarray]
    workout: np.ndarray
    hours: np.ndarray
    extras: Mapping[str, np.ndarray]
    synthetic: bool

    @property
    def days(self) -> int:
        """Number of days."""
        return self.there.shape[1]

    @property
    def last(self) -> date:
        """The last day."""
        return self.first + timedelta(days=self.days - 1)

    def date_of(self, day: int) -> date:
        """The date of a column."""
        return self.first + timedelta(days=day)

    def __getitem__(self, name: str) -> np.ndarray:
        """A column of numbers, (n, d); NaN where no record has it."""
        found = self.numbers.get(name)
        return np.full(self.there.shape, np.nan) if found is None else found

    def until(self, day: int) -> DayGrid:
        """The same without the days after column `day`."""
        return self._cut(slice(None), slice(0, day + 1))

    def take(self, rows: np.ndarray) -> DayGrid:
        """Some of the people, by place."""
        return self._cut(rows, slice(None))

    def _cut(self, rows: slice | np.ndarray, days: slice) -> DayGrid:
        def part(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: values[rows][:, days] for name, values in columns.items()}

        chosen = np.asarray(self.people, object)[rows]
        return DayGrid(
            tuple(chosen.tolist()),
            self.first,
            self.there[rows][:, days],
            part(self.numbers),
            part(self.minutes),
            self.workout[rows][:, days],
            self.hours[rows][:, days],
            part(self.extras),
            self.synthetic,
        )

    def worn(self) -> np.ndarray:
        """Whether each day was worn, bool (n, d): by `wear_minutes`; where that is unknown, whether steps or active
        minutes were counted."""
        wear = self["wear_minutes"]
        counted = (np.nan_to_num(self["steps"]) > 0) | (np.nan_to_num(self["active_minutes"]) > 0)
        return np.asarray(np.where(np.isnan(wear), counted, wear >= WORN_MINUTES))

    def workouts(self) -> np.ndarray:
        """Whether each day has a workout, bool (n, d)."""
        return np.asarray(self.workout != None)  # noqa: E711  # of each element


def grid_of(records: pa.Table) -> DayGrid:
    """The grid of daily records. Raises DataError for a table without their columns, NotEnoughDataError for none.

    Of two records of a person and day, that of most wear minutes counts.
    """
    lacking = [c.name for c in COLUMNS if c.required and c.name not in records.column_names]
    if lacking:
        raise DataError(
            f"the daily records lack the column {lacking[0]}; write them with `activity days` or "
            "`activity history generate`"
        )
    if not len(records):
        raise NotEnoughDataError("there are no daily records; `activity days build` or `import` makes them")
    records = records.combine_chunks()
    people, row = np.unique(np.asarray(records["participant"].to_pylist(), object), return_inverse=True)
    day = records["date"].cast(pa.int32()).to_numpy()
    first = int(day.min())
    shape = (len(people), int(day.max()) - first + 1)
    wear = _float(records, "wear_minutes")
    # the last one written stays
    order = np.lexsort((np.nan_to_num(wear, nan=-1.0), day, row))
    at = (row[order], day[order] - first)
    there = np.zeros(shape, bool)
    there[at] = True

    def spread(values: np.ndarray) -> np.ndarray:
        whole = np.full(shape, None if values.dtype == object else np.nan, values.dtype)
        whole[at] = values[order]
        return whole

    names = [name for name in NUMBERS if name in records.column_names]
    hours = np.full((*shape, _HOURS), np.nan, np.float32)
    hours[at] = _hours(records)[order]
    workout = np.full(len(records), None, object)
    if "workout" in records.column_names:
        workout = np.asarray(records["workout"].to_pylist(), object)
    return DayGrid(
        tuple(people.tolist()),
        date(1970, 1, 1) + timedelta(days=first),
        there,
        {name: spread(_float(records, name)) for name in names},
        {name: spread(values) for name, values in _amounts(records).items()},
        spread(workout),
        hours,
        {name: spread(values) for name, values in _extras(records).items()},
        bool(pc.any(pc.equal(records["source"], SYNTHETIC)).as_py()),
    )


def _float(records: pa.Table, name: str) -> np.ndarray:
    if name not in records.column_names:
        return np.full(len(records), np.nan)
    return np.array(records[name].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _amounts(records: pa.Table) -> dict[str, np.ndarray]:
    """Activity -> minutes (n_records,), NaN where the record does not tell."""
    if "minutes" not in records.column_names:
        return {}
    found = _joined(records["minutes"])
    lengths = np.diff(np.asarray(found.offsets))
    row = np.repeat(np.arange(len(found)), lengths)
    begin, end = found.offsets[0].as_py(), found.offsets[-1].as_py()
    keys = np.asarray(found.keys.slice(begin, end - begin).to_pylist(), object)
    items = np.asarray(found.items.slice(begin, end - begin), np.float64)
    told = np.where(np.asarray(found.is_valid()), 0.0, np.nan)
    out: dict[str, np.ndarray] = {}
    for key in sorted(set(keys.tolist())):
        values = told.copy()
        mine = keys == key
        values[row[mine]] = items[mine]
        out[str(key)] = values
    return out


def _hours(records: pa.Table) -> np.ndarray:
    """Active minutes by hour, float32 (n_records, 24)."""
    out = np.full((len(records), _HOURS), np.nan, np.float32)
    if "hours_active" not in records.column_names:
        return out
    found = _joined(records["hours_active"])
    lengths = np.diff(np.asarray(found.offsets))
    row = np.repeat(np.arange(len(found)), lengths)
    begin = found.offsets[0].as_py()
    hour = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    values = np.asarray(found.values.slice(begin, len(row)), np.float64)
    out[lengths > 0] = 0.0
    np.add.at(out, (row, np.minimum(hour, _HOURS - 1)), values)
    return out


def _joined(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined


def _extras(records: pa.Table) -> dict[str, np.ndarray]:
    """Columns that are not daily records' own, by name: numbers as float64, all else as objects."""
    out: dict[str, np.ndarray] = {}
    for field in records.schema:
        if field.name in SCHEMA.names or field.name in ("year", "month"):
            continue
        if (
            pa.types.is_integer(field.type)
            or pa.types.is_floating(field.type)
            or pa.types.is_boolean(field.type)
        ):
            out[field.name] = _float(records, field.name)
        else:
            out[field.name] = np.asarray(records[field.name].to_pylist(), object)
    return out


def share_of_true(flags: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Share of true among the known ones along the last axis; NaN where none is known."""
    with np.errstate(invalid="ignore"):
        return np.asarray((flags & known).sum(-1) / known.sum(-1))


def columns_of(grid: DayGrid, names: Sequence[str]) -> np.ndarray:
    """Columns of numbers side by side, (n, d, n_names)."""
    return np.stack([grid[name] for name in names], -1)
