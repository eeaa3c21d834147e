"""The archive's folders and files: raw messages of a topic as Parquet, by the date (UTC) of their arrival.

    TOPIC/date=2026-11-29/messages-PARTITION-FIRST-UNTIL-SERIES.parquet
                          the messages of one partition and one batch: FIRST is its first offset, UNTIL the one after
                          its last, SERIES Kafka's id of the topic (one of our own where it has none);
                          a batch that is written again replaces its own files
    TOPIC/date=2026-11-29/part-*.parquet    files of former versions, written by Spark's file sink
    TOPIC/_spark_metadata                   their list, with absolute paths: only the names are used
    TOPIC/_archived.json                    which offsets are in the archive
    _staging/TOPIC                          the batch that is being written

Dates may be moved away, moved back and deleted at any time, and the whole folder may be moved. No Spark here:
`streaming/archive.py` writes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from activitymodule.errors import ServiceUnavailableError
from activitymodule.lake.folder import entries, remove_folder
from activitymodule.settings import Settings, Telemetry, location
from activitymodule.telemetry.excluded import Excluded

OLD_LOG = "_spark_metadata"
_DAY = re.compile(r"date=(.+)")
_OLD = re.compile(r"part-.*\.parquet")
_MESSAGES = re.compile(r"messages-(\d+)-(\d+)-(\d+)-([\w-]+?)(?:\.\d+)?\.parquet")
_LOGGED = re.compile(r'"path":"[^"]*?([^"/]+)"')
_FOOTER = b"PAR1"  # the last bytes of a whole Parquet file


class Files(Protocol):
    """What is asked of a file system: Arrow's where there is no Spark, Hadoop's where there is."""

    def names(self, folder: str) -> list[str]:
        """Names of the entries of a folder, sorted; [] where there is no such folder."""

    def read(self, path: str) -> bytes:
        """The content of a file."""

    def tail(self, path: str, count: int) -> bytes:
        """The last bytes of a file; fewer where it is shorter."""


@dataclass(frozen=True)
class Range:
    """What the name of a file holds: messages [first, until) of one partition; series: which topic of that name."""

    partition: int
    first: int
    until: int
    series: str


def file_name(part: Range, number: int = 0) -> str:
    """The name of the file of a range; `number` counts them where there are several."""
    more = f".{number}" if number else ""
    return f"messages-{part.partition}-{part.first}-{part.until}-{part.series}{more}.parquet"


def range_of(name: str) -> Range | None:
    """What the name of a file holds; None for a file of a former version."""
    found = _MESSAGES.fullmatch(name)
    return Range(int(found[1]), int(found[2]), int(found[3]), found[4]) if found else None


def archive_path(config: Settings) -> str:
    """Folder of one topic's archive."""
    return f"{location(config.archive.folder)}/{config.kafka.topic}"


def staging_path(config: Settings) -> str:
    """Folder of the batch that is being written: beside the topics, so that a bucket may have one rule for it."""
    return f"{location(config.archive.folder)}/_staging/{config.kafka.topic}"


def day_folders(files: Files, root: str) -> dict[str, date | None]:
    """Folder -> its date, in their order; None for messages without a time, or with one that Python cannot hold."""
    found: dict[str, date | None] = {}
    for name in files.names(root):
        if match := _DAY.fullmatch(name):
            found[f"{root}/{name}"] = None
            with contextlib.suppress(ValueError):
                found[f"{root}/{name}"] = date.fromisoformat(match[1])
    return found


def within(day: date | None, since: date | None, until: date | None) -> bool:
    """Whether a date is asked for, both ends included; messages without a date are only where there is no limit."""
    if day is None:
        return since is None and until is None
    return (since is None or since <= day) and (until is None or day <= until)


def logged_names(files: Files, root: str) -> set[str]:
    """Names of the files that Spark's file sink finished, as far as its log is there: the newest compacted part, and
    what followed. Names alone, because the paths in it are those of the day they were written."""
    entries = {
        name: int(name.split(".")[0]) for name in files.names(f"{root}/{OLD_LOG}") if name[:1].isdigit()
    }
    newest = max((number for name, number in entries.items() if name.endswith(".compact")), default=-1)
    wanted = [n for n, number in entries.items() if number > newest or (number == newest and "." in n)]
    return {
        name
        for part in wanted
        for name in _LOGGED.findall(files.read(f"{root}/{OLD_LOG}/{part}").decode("utf-8", "replace"))
    }


def unfinished(files: Files, folder: str, names: Iterable[str], logged: set[str]) -> set[str]:
    """Files of a former version that a killed job left without their end: nobody can read them, and the batch was
    written again."""
    return {
        name
        for name in names
        if _OLD.fullmatch(name)
        and name not in logged
        and files.tail(f"{folder}/{name}", len(_FOOTER)) != _FOOTER
    }


@dataclass(frozen=True)
class DayFiles:
    """The files of a date that can be read; `all_of_them`: the folder has no other ones."""

    folder: str
    names: tuple[str, ...]
    all_of_them: bool

    @property
    def paths(self) -> list[str]:
        """Their paths."""
        return [f"{self.folder}/{name}" for name in self.names]


def message_files(files: Files, root: str, since: date | None, until: date | None) -> list[DayFiles]:
    """The files with the messages of some dates (both included), of this and of former versions."""
    logged: set[str] | None = None
    found = []
    for folder, day in day_folders(files, root).items():
        if not within(day, since, until):
            continue
        names = [n for n in files.names(folder) if n.endswith(".parquet") and n[0] not in "._"]
        broken: set[str] = set()
        if any(map(_OLD.fullmatch, names)):
            logged = logged_names(files, root) if logged is None else logged
            broken = unfinished(files, folder, names, logged)
        if len(names) > len(broken):
            found.append(DayFiles(folder, tuple(n for n in names if n not in broken), not broken))
    return found


class ArrowFiles:
    """Files on a disk or in object storage, by Arrow. Raises ServiceUnavailableError where they cannot be read."""

    def __init__(self, address: str) -> None:
        self._address = address
        with self._explained():
            self.system, self.base = fs.FileSystem.from_uri(address)

    def names(self, folder: str) -> list[str]:
        """As in Files."""
        with self._explained():
            return sorted(info.base_name for info in self.infos(folder))

    def infos(self, folder: str) -> list[fs.FileInfo]:
        """The entries of a folder; [] where there is no such folder."""
        with self._explained():
            return entries(self.system, folder)

    def read(self, path: str) -> bytes:
        """As in Files."""
        with self._explained(), self.system.open_input_stream(path) as stream:
            return bytes(stream.read())

    def tail(self, path: str, count: int) -> bytes:
        """As in Files."""
        with self._explained(), self.system.open_input_file(path) as file:
            size = file.size()
            return bytes(file.read_at(min(count, size), max(0, size - count)))

    def delete(self, folder: str) -> None:
        """Delete a folder with all that is in it."""
        with self._explained():
            remove_folder(self.system, folder)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowInvalid) as error:
            raise ServiceUnavailableError(
                f"the archive at {self._address} cannot be used: {error}"
            ) from error


def without_excluded(batch: pa.RecordBatch, excluded: Excluded, limits: Telemetry) -> pa.RecordBatch:
    """Messages (key, value, timestamp and more) without readings of excluded times; none is left of some."""
    given = batch.column("value")
    arrived_us = pc.fill_null(batch.column("timestamp").cast(pa.int64()), 0).to_numpy()
    value = excluded.without(given, arrived_us, limits)
    keys = batch.column("key").to_pylist()
    named = np.array(
        [excluded.named_in(key, us) for key, us in zip(keys, arrived_us.tolist(), strict=True)], bool
    )
    gone = pc.and_(pc.is_null(value), pc.or_(pc.is_valid(given), pa.array(named)))
    key = pc.if_else(pa.array(named), pa.scalar(None, pa.binary()), batch.column("key"))
    columns = {**{name: batch.column(name) for name in batch.schema.names}, "key": key, "value": value}
    return pa.RecordBatch.from_pydict(columns, schema=batch.schema).filter(pc.invert(gone))


@dataclass(frozen=True)
class ArchivedDay:
    """One date of the archive: its folder, its files and their bytes."""

    day: date
    folder: str
    files: int
    bytes: int


def archived_days(config: Settings) -> list[ArchivedDay]:
    """The dates that the archive holds, oldest first; [] without an archive."""
    files = ArrowFiles(archive_path(config))
    days = []
    for folder, day in day_folders(files, files.base).items():
        if day is not None:
            sizes = [info.size or 0 for info in files.infos(folder) if info.is_file]
            days.append(ArchivedDay(day, folder, len(sizes), sum(sizes)))
    return sorted(days, key=lambda one: one.day)


def delete_days_before(config: Settings, day: date, *, dry_run: bool = False) -> list[ArchivedDay]:
    """Delete the dates before `day`, and return what they held; dry_run: delete nothing.

    The archive goes on from where it is: it keeps its own record of what it has read. Messages without a date stay.
    """
    files = ArrowFiles(archive_path(config))
    old = [one for one in archived_days(config) if one.day < day]
    if not dry_run:
        for one in old:
            files.delete(one.folder)
    return old
