"""Daily records in the lake.

    daily/year=2026/month=03/days.parquet      those of watches and of imports, a file a month
    daily/_build.json                          when the last complete build of those of watches began
    history/year=2026/month=03/days.parquet    those of synthesised people

A file appears complete or not at all, its rows sorted by days.columns.KEY; the same rows are the same bytes.
`lake/daily_writing.py` writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from activitymodule.days.columns import SCHEMA
from activitymodule.lake.folder import LakeFolder
from activitymodule.settings import Settings

DAILY = "daily"
HISTORY = "history"
FILE = "days.parquet"
_BUILD = "_build.json"
_MONTH = re.compile(rf".*/year=(\d{{4}})/month=(\d\d)/{re.escape(FILE)}")


class Month(NamedTuple):
    """A month, which is a partition."""

    year: int
    month: int

    @property
    def first(self) -> date:
        """Its first date."""
        return date(self.year, self.month, 1)

    @property
    def place(self) -> str:
        """Its file, within the folder."""
        return f"year={self.year:04}/month={self.month:02}/{FILE}"

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


def month_of(day: date) -> Month:
    """The month of a date."""
    return Month(day.year, day.month)


def months(config: Settings, folder: str = DAILY) -> list[Month]:
    """The months that the lake has, oldest first."""
    names = (_MONTH.fullmatch(path) for path in LakeFolder(config, folder).paths_below())
    return sorted(Month(int(name[1]), int(name[2])) for name in names if name)


def read(
    config: Settings,
    since: date | None = None,
    until: date | None = None,
    *,
    participants: Collection[str] | None = None,
    sources: Collection[str] | None = None,
    folder: str = DAILY,
) -> pa.Table:
    """Daily records of these dates (both included), columns.SCHEMA, sorted by participant, date and source.

    participants, sources : only theirs; None: all
    """
    chosen = [
        month
        for month in months(config, folder)
        if (since is None or month_of(since) <= month) and (until is None or month <= month_of(until))
    ]
    if not chosen:
        return SCHEMA.empty_table()
    asked = [pc.field("date") >= since] if since else []
    asked += [pc.field("date") <= until] if until else []
    asked += [pc.field("participant").isin(list(participants))] if participants is not None else []
    asked += [pc.field("source").isin(list(sources))] if sources is not None else []
    condition = None
    for one in asked:
        condition = one if condition is None else condition & one
    lake = LakeFolder(config, folder)
    with lake.explained():
        paths = [f"{lake.base}/{month.place}" for month in chosen]
        dataset = ds.dataset(paths, schema=SCHEMA, format="parquet", filesystem=lake.files)
        table = dataset.to_table(filter=condition)
    return in_order(table)


def last_build(config: Settings) -> datetime | None:
    """When the last complete build began; None before the first, or where the record cannot be read."""
    lake = LakeFolder(config, DAILY)
    path = f"{lake.base}/{_BUILD}"
    with lake.explained():
        if not lake.is_file(path):
            return None
        with lake.files.open_input_stream(path) as stream:
            text = stream.read()
    try:
        return datetime.fromisoformat(json.loads(text)["started_at"])
    except (ValueError, KeyError, TypeError):
        return None


def record_build(config: Settings, started_at: datetime) -> None:
    """All that was written to the store before `started_at` is in the records."""
    lake = LakeFolder(config, DAILY)
    path = f"{lake.base}/{_BUILD}"
    with lake.explained(), lake.partial(path) as partial:
        with lake.files.open_output_stream(partial) as stream:
            stream.write(json.dumps({"started_at": started_at.isoformat()}).encode())
        lake.publish(partial, path)


def in_order(days: pa.Table) -> pa.Table:
    """Sorted by columns.KEY, in one piece."""
    return days.sort_by([(name, "ascending") for name in ("participant", "date", "source")]).combine_chunks()
