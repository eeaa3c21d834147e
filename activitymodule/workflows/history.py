"""Predictions of any time: those of the store, and those of past days in the lake."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from activitymodule.files import written_beside
from activitymodule.lake import predictions as lake
from activitymodule.settings import Settings
from activitymodule.store import prediction_days as store
from activitymodule.store.connection import Connection, session


def history(
    config: Settings, since: date | None, until: date | None, device_id: str | None = None
) -> pa.Table:
    """Predictions of these days (UTC, both included), of one watch or of all, sorted by watch and time.

    Each window once: where a day is being moved, or got late rows, the row of most readings.
    """
    begin = store.day_bounds(since)[0] if since else None
    end = store.day_bounds(until)[1] if until else None
    with session(config, read_only=True) as connection:
        kept = list(_of_store(connection, begin, end, device_id))
    tables = [*kept, lake.read(config, since, until, device_id)]
    return lake.best_of(pa.concat_tables(tables))


def _of_store(
    connection: Connection, begin: datetime | None, end: datetime | None, device_id: str | None
) -> Iterator[pa.Table]:
    for table in ("predictions", *store.taken_out(connection)):
        for day in store.days_within(connection, table, begin, end):
            copy = partial(store.copy_day, connection, table, day, device_id=device_id)
            yield lake.from_csv(copy)


def write_parquet(rows: pa.Table, path: Path) -> None:
    """Write them to a file, which appears complete or not at all. Raises ConfigError where it cannot be written."""
    with written_beside(path) as part:
        pq.write_table(rows, part, compression="zstd")


def day_of(at: datetime | None) -> date | None:
    """The day (UTC) of a moment."""
    return None if at is None else at.astimezone(UTC).date()
