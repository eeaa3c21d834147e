"""Cleaning of recordings: impossible values become null, rows without a usable reading are removed, all counted."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.telemetry.schema import FLOAT_FIELDS

USABLE = (
    *(f"user_acceleration_{axis}" for axis in "xyz"),
    *(f"rotation_rate_{axis}" for axis in "xyz"),
    "heart_rate",
    "steps",
)
"""A row with none of these has no usable reading."""
_FIRST_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_DAY_US = 86_400_000_000


def possible_stamps(stamp_us: np.ndarray, now_us: int | None = None) -> np.ndarray:
    """Which of the times, UTC microseconds of shape (n,), are from the year 2000 until a day after `now_us`."""
    now_us = int(time.time() * 1e6) if now_us is None else now_us
    return np.asarray((stamp_us >= _FIRST_US) & (stamp_us <= now_us + _DAY_US))


def clean(table: pa.Table, now_us: int | None = None) -> tuple[pa.Table, dict[str, int], dict[str, int]]:
    """A chunk of readings without impossible stamps and values.

    A row whose stamp is before the year 2000 or more than a day ahead of `now_us` is removed; a number outside its
    field's range becomes null; then a row without a usable reading is removed.
    Returns the table, the rows removed by reason, and the values set to null by `impossible_value:FIELD`.
    """
    noticed: dict[str, int] = {}
    usable = np.zeros(len(table), bool)
    for field in FLOAT_FIELDS:
        index = table.schema.get_field_index(field.name)
        if table.column(index).null_count == len(table):
            continue
        values = table.column(index).to_numpy()
        if field.none_up_to is not None and (none := values <= field.none_up_to).any():
            noticed[f"nothing_measured:{field.name}"] = int(none.sum())
            values = np.where(none, np.float32(np.nan), values)
            table = table.set_column(index, table.schema.field(index), pa.array(values, from_pandas=True))
        impossible = ~np.isnan(values) & ~((values >= field.low) & (values <= field.high))
        if impossible.any():
            noticed[f"impossible_value:{field.name}"] = int(impossible.sum())
            values = np.where(impossible, np.float32(np.nan), values)
            table = table.set_column(index, table.schema.field(index), pa.array(values, from_pandas=True))
        if field.name in USABLE:
            usable |= ~np.isnan(values)
    stamps = pc.cast(table.column("stamp"), pa.int64()).to_numpy()
    possible = possible_stamps(stamps, now_us)
    counts = {
        "impossible_stamp": int((~possible).sum()),
        "no_usable_reading": int((possible & ~usable).sum()),
    }
    return table.filter(pa.array(possible & usable)), {k: v for k, v in counts.items() if v}, noticed
