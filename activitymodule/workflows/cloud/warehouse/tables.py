"""The tables of a warehouse, and the parts that each is replaced by: a file of the lake, or what is written as one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from activitymodule.errors import ServiceUnavailableError

TIME = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Table:
    """A table of the warehouse.

    time : the column by whose dates it is replaced; None: as a whole
    place : pattern of the addresses of its parts within the lake, with year and month or date
    """

    name: str
    schema: pa.Schema
    time: str | None
    place: re.Pattern[str]

    def dates(self, name: str) -> tuple[date, date] | None:
        """The dates [first, after) of a part by its address within the lake; None where it is all of the table."""
        found = self.place.fullmatch(name)
        assert found is not None
        if not found.groups():
            return None
        year, month, *day = map(int, found.groups())
        first = date(year, month, *(day or (1,)))
        return first, first + timedelta(days=1) if day else (first + timedelta(days=31)).replace(day=1)


@dataclass(frozen=True)
class Part:
    """What is replaced at once. name : its address within the lake; mark : another one for any other content"""

    name: str
    mark: str


@dataclass(frozen=True)
class File:
    """A Parquet file by its address, with its columns and rows."""

    address: str
    schema: pa.Schema
    rows: int


Marks = Callable[[str], Mapping[str, str]]
"""The mark of each file below a folder of the lake, by its address within the lake."""
Due = Callable[[Part], bool]
"""Whether a part has to be loaded."""

LEDGER = Table(
    "activity_loads",
    pa.schema(
        [
            ("table_name", pa.string()),
            ("file", pa.string()),
            ("etag", pa.string()),
            ("rows_in_file", pa.int64()),
            ("rows_loaded", pa.int64()),
            ("loaded_at", TIME),
            ("line", pa.int64()),
        ]
    ),
    None,
    re.compile(r"(?!)"),
)
"""A line for each time that a part was loaded; `line` counts those of one part. A part that is gone has no etag."""


def described(address: str) -> File:
    """A Parquet file in object storage. Raises ServiceUnavailableError where it cannot be read."""
    try:
        system, path = fs.FileSystem.from_uri(address)
        found = pq.read_metadata(path, filesystem=system)
    except (OSError, pa.ArrowInvalid) as error:
        raise ServiceUnavailableError(f"{address} cannot be read: {error}") from error
    return File(address, found.schema.to_arrow_schema(), found.num_rows)
