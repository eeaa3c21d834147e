"""What all sources share: registration, units, chunks with their ledger, the files at a path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeVar

from activitymodule.errors import ConfigError
from activitymodule.telemetry.chunks import Chunk, Ledger, chunk_schema, chunk_table
from activitymodule.telemetry.sources.archives import is_archive, members, opened_file

__all__ = [
    "SOURCES",
    "Chunk",
    "Ledger",
    "Source",
    "Unit",
    "chunk_schema",
    "chunk_table",
    "files_in",
    "is_archive",
    "must_exist",
    "opened",
    "register",
]


@dataclass(frozen=True)
class Unit:
    """One person's file, or member of an archive: what a single task reads.

    detail : what else the source must know to read it, as JSON; mapping : the mapping that says what it holds, as JSON
    """

    source: str
    path: str
    person: str
    member: str | None = None
    detail: str | None = None
    mapping: str | None = None

    def __str__(self) -> str:
        """The file, and the member where it is in an archive."""
        return f"{self.path}:{self.member}" if self.member else self.path


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
