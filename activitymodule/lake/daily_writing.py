"""Writes daily records into the lake: checks them, and replaces the files of their months.

One writer at a time: who writes holds the lock of workflows/daily.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pandera.errors import SchemaErrors

from activitymodule.days.columns import COLUMNS, KEY, SCHEMA, Column
from activitymodule.errors import DataError
from activitymodule.lake.daily import DAILY, Month, in_order, month_of, months
from activitymodule.lake.folder import LakeFolder
from activitymodule.settings import Settings

_SLACK = 0.001  # minutes, for what was rounded


@dataclass(frozen=True)
class Change:
    """A month whose file was replaced, its rows before and now."""

    month: Month
    before: int
    rows: int


def replace(
    config: Settings,
    new: pa.Table,
    stale: pc.Expression | None = None,
    among: Iterable[Month] = (),
    *,
    folder: str = DAILY,
) -> list[Change]:
    """Write daily records in place of those with the same key and of those that are stale.

    new : columns of columns.SCHEMA, those that are absent null, each key once
    stale : of what is there, a condition on its columns, such as (pc.field("source") == "fitbit")
    among : further months in which stale ones are looked for; months of `new` are always
    Returns the months whose file changed; a month without rows has none. Each file is replaced at once, in the order
    of time: what is interrupted is done again. Raises DataError for records that break the rules of their columns.
    """
    new = _whole(new)
    check(new)
    dates = new.column("date")
    by_month = pc.strftime(dates, "%Y-%m") if len(new) else pa.chunked_array([], pa.string())
    touched = {*among} | {month_of(day) for day in pc.unique(dates).to_pylist()}
    changes = []
    for month in sorted(touched):
        change = _replace_month(config, month, new.filter(pc.equal(by_month, str(month))), stale, folder)
        if change is not None:
            changes.append(change)
    return changes


def remove(config: Settings, stale: pc.Expression, *, folder: str = DAILY) -> list[Change]:
    """Remove records from all months, such as those of a participant."""
    return replace(config, SCHEMA.empty_table(), stale, months(config, folder), folder=folder)


def _whole(new: pa.Table) -> pa.Table:
    unknown = {*new.column_names} - {*SCHEMA.names}
    if unknown:
        raise DataError(f"daily records have no column {', '.join(sorted(unknown))}")
    columns = [
        new.column(field.name).cast(field.type)
        if field.name in new.column_names
        else pa.nulls(len(new), field.type)
        for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


def _replace_month(
    config: Settings, month: Month, new: pa.Table, stale: pc.Expression | None, folder: str
) -> Change | None:
    lake = LakeFolder(config, folder)
    path = f"{lake.base}/{month.place}"
    with lake.explained():
        before = SCHEMA.empty_table()
        if lake.is_file(path):
            before = in_order(pq.read_table(path, schema=SCHEMA, filesystem=lake.files, partitioning=None))
        kept = before if stale is None else before.filter(~stale)
        if len(new):
            kept = kept.filter(pc.invert(pc.is_in(_keys(kept), _keys(new))))
        after = in_order(pa.concat_tables([new, kept])).cast(SCHEMA)
        if after.equals(before):
            return None
        if len(after):
            lake.write_table(path, after)
        else:
            lake.files.delete_file(path)
    return Change(month, len(before), len(after))


def _keys(days: pa.Table) -> pa.Array:
    texts = [days.column(name).cast(pa.string()) for name in KEY]
    return pc.binary_join_element_wise(*texts, "\0").combine_chunks()


def contract() -> pandera.DataFrameSchema:
    """The rules of the columns that hold one value, as a Pandera schema made from the table of columns."""
    return pandera.DataFrameSchema(
        {column.name: _rule(column) for column in COLUMNS if not pa.types.is_nested(column.type)},
        checks=[
            pandera.Check(
                lambda frame, name=name: ~(frame[name] > 60 * frame["hours"] + _SLACK),
                name=f"{name} are at most the minutes of the day",
            )
            for name in ("wear_minutes", "active_minutes", "workout_minutes")
        ],
        unique=list(KEY),
        strict=True,
    )


def _rule(column: Column) -> pandera.Column:
    checks = []
    if column.low is not None:
        checks.append(pandera.Check.ge(column.low))
    if column.high is not None:
        checks.append(pandera.Check.le(column.high))
    if column.required and pa.types.is_string(column.type):
        checks.append(pandera.Check.str_length(min_value=1))
    kind = column.type.to_pandas_dtype() if pa.types.is_floating(column.type) else None
    return pandera.Column(kind, checks, nullable=not column.required)


_CONTRACT = contract()


def check(days: pa.Table) -> None:
    """Raise DataError where daily records (columns.SCHEMA) break the rules of the columns: a fault of their maker."""
    if not len(days):
        return
    broken = []
    flat = days.select([column.name for column in COLUMNS if not pa.types.is_nested(column.type)])
    try:
        _CONTRACT.validate(flat.to_pandas(date_as_object=True), lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        broken += [f"{one.column}: {one.check}" for one in cases.itertuples()]
    for column in COLUMNS:
        if pa.types.is_nested(column.type):
            values = days.column(column.name).combine_chunks()
            numbers = (values.items if pa.types.is_map(column.type) else values.flatten()).to_numpy(
                zero_copy_only=False
            )
            low, high = column.low or 0.0, column.high or 0.0
            # also where it is NaN
            if not ((numbers >= low) & (numbers <= high)).all():
                broken.append(f"{column.name}: a number outside {low:g} to {high:g}")
    length = pc.list_value_length(days.column("hours_active"))
    if pc.any(pc.not_equal(length, pc.ceil(days.column("hours")).cast(pa.int32()))).as_py():
        broken.append("hours_active: not a value for each hour of the day")
    if broken:
        shown = "; ".join(sorted({*broken})[:5])
        raise DataError(
            f"{len(broken):,} values of {len(days):,} daily records break the rules of their columns: {shown}"
        )
