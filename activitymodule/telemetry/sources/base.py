"""What all sources share: registration, units, chunks with their ledger, the files at a path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from activitymodule.errors import ConfigError
from activitymodule.telemetry.schema import FIELDS, arrow_schema
from activitymodule.telemetry.sources.archives import is_archive, members, opened_file


def chunk_schema() -> pa.Schema:
    """Canonical readings, then `activity` (the truth, null where unknown) and `person`."""
    extra = [pa.field("activity", pa.string()), pa.field("person", pa.string(), nullable=False)]
    return pa.schema([*arrow_schema(), *extra])


@dataclass(frozen=True)
class Unit:
    """One person's file, or member of an archive: what a single task reads."""

    source: str
    path: str
    person: str
    member: str | None = None

    def __str__(self) -> str:
        """The file, and the member where it is in an archive."""
        return f"{self.path}:{self.member}" if self.member else self.path


@dataclass(frozen=True)
class Ledger:
    """Accounts for the rows of a source: rows + all added = readings + all removed. `noticed` counts what was kept.

    A row is what the source measured at one instant; a reading that no row stands for is added (interpolated).
    """

    rows: int = 0
    readings: int = 0
    removed: Mapping[str, int] = field(default_factory=dict)
    noticed: Mapping[str, int] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Ledger) -> Ledger:
        """The counts of both."""
        return Ledger(
            self.rows + other.rows,
            self.readings + other.readings,
            dict(Counter(self.removed) + Counter(other.removed)),
            dict(Counter(self.noticed) + Counter(other.noticed)),
            dict(Counter(self.added) + Counter(other.added)),
        )

    @property
    def balanced(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows + sum(self.added.values()) == self.readings + sum(self.removed.values())


@dataclass(frozen=True)
class Chunk:
    """readings : table of chunk_schema(), in time order within a unit; ledger : the rows it was made of."""

    readings: pa.Table
    ledger: Ledger


class Source(Protocol):
    """An adapter: path -> units -> chunks of canonical readings. A module of this package registers its own."""

    name: str

    def scan(self, path: Path) -> list[Unit]:
        """The units under a path, in a fixed order. Raises ConfigError or DataError where there are none."""
        ...

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The unit's readings, a chunk at a time. Raises DataError where the format is another one."""
        ...


SOURCES: dict[str, Source] = {}
"""The registered sources by name; importing the package `telemetry.sources` fills it."""

_S = TypeVar("_S", bound=Source)


def register(source: type[_S]) -> type[_S]:
    """Class decorator: makes a source known under its `name`. Its docstring is its section of docs/telemetry.md."""
    SOURCES[source.name] = source()
    return source


def files_in(path: Path, ending: str) -> list[tuple[str, str | None]]:
    """The files at a path, each as (file, member of the archive or None).

    They are the files with this ending in an archive or a folder, or the one file. Raises ConfigError where there is
    no such path.
    """
    must_exist(path)
    if is_archive(path):
        return [(str(path), name) for name in members(path) if name.endswith(ending)]
    if path.is_dir():
        return [(str(file), None) for file in sorted(path.rglob(f"*{ending}"))]
    return [(str(path), None)]


def must_exist(path: Path) -> None:
    """Raises ConfigError where there is no such file or folder."""
    if not path.exists():
        raise ConfigError(f"there is no file or folder {path}")


def opened(unit: Unit) -> AbstractContextManager[IO[bytes]]:
    """The unit's bytes as a stream. Raises DataError, also for what its reader makes of them."""
    return opened_file(unit.path, unit.member, str(unit))


def chunk_table(
    columns: Mapping[str, pa.Array | np.ndarray], person: str, device_id: str, n: int
) -> pa.Table:
    """A chunk's table of n rows: these columns, as float32 or text, and null for all others; NaN becomes null."""
    schema = chunk_schema()
    names = {f.name: f for f in FIELDS}
    arrays = []
    for column in schema:
        if column.name == "device_id":
            array = pa.repeat(pa.scalar(device_id), n)
        elif column.name == "person":
            array = pa.repeat(pa.scalar(person), n)
        elif column.name not in columns:
            array = pa.nulls(n, column.type)
        else:
            array = columns[column.name]
            if isinstance(array, np.ndarray):
                if column.name in names and names[column.name].kind == "stamp":
                    array = pa.array(array.astype(np.int64))
                else:
                    array = pa.array(array, from_pandas=True)
            array = array.cast(column.type)
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema)
