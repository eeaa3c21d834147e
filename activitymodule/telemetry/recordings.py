"""Recordings as a timed sequence of messages, in the order of time over all people, for a replay."""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry import encode, prepared
from activitymodule.telemetry.cleaning import clean
from activitymodule.telemetry.sources import SOURCES, Unit, is_source, read, source_named
from activitymodule.telemetry.sources.base import chunk_schema
from activitymodule.telemetry.untrusted import readable

_PIECE_ROWS = 6000


@dataclass(frozen=True)
class Event:
    """A message and when it is due, in UTC microseconds of the (moved) recording. Truth holds no readings."""

    due_us: int
    device_id: str
    value: bytes
    readings: int
    truth: bool


class Recordings:
    """The recordings of some people, prepared or raw; they are read when they are used.

    source : name of the source in the truth topic; parts : the files of each person; limit_seconds : what is sent of
    each recording at most, None for all.
    """

    def __init__(self, source: str, parts: dict[str, list[Unit | Path]], limit_seconds: float | None) -> None:
        """Raw parts are units, prepared ones folders of a day; both in the order of time."""
        self.source = source
        self._parts = parts
        self._limit_us = None if limit_seconds is None else int(limit_seconds * 1e6)
        self._spans: dict[str, tuple[int, int] | None] = {}

    @property
    def people(self) -> list[str]:
        """The people with a usable reading."""
        return [person for person in self._parts if self.span(person)]

    def span(self, person: str) -> tuple[int, int] | None:
        """First and last stamp of a person's recording, UTC microseconds; reads the recording.

        None without a usable reading, as in a copy of another person's recording.
        """
        if person not in self._spans:
            first, last = None, None
            for table in self._tables(person, ends_only=True):
                stamps = pc.cast(table.column("stamp"), pa.int64()).to_numpy()
                low, high = int(stamps.min()), int(stamps.max())
                first = low if first is None else min(first, low)
                last = high if last is None else max(last, high)
                if self._limit_us is not None and last >= first + self._limit_us:
                    last = first + self._limit_us
                    break
            self._spans[person] = None if first is None or last is None else (first, last)
        return self._spans[person]

    def _tables(self, person: str, ends_only: bool = False) -> Iterator[pa.Table]:
        """Readings in the order of time, a piece at a time; ends_only: only the first and last day of prepared ones."""
        parts = self._parts[person]
        for part in parts:
            if isinstance(part, Unit):
                tables = (clean(chunk.readings)[0] for chunk in read(part))
            elif ends_only and part not in (parts[0], parts[-1]):
                continue
            else:
                tables = _pieces(part)
            for table in tables:
                if len(table):
                    yield table.sort_by("stamp")

    def events(self, person: str, shift_us: int, readings_per_message: int) -> Iterator[Event]:
        """A person's messages and truth spans in the order they are due, stamps moved by shift_us."""
        span = self.span(person)
        if span is None:
            return
        first, last = span
        index = chunk_schema().get_field_index("stamp")
        for table in self._tables(person):
            stamps = pc.cast(table.column("stamp"), pa.int64()).to_numpy()
            if stamps[0] > last:
                return
            chosen = table.filter(pa.array((stamps >= first) & (stamps <= last)))
            moved = pc.add(pc.cast(chosen.column("stamp"), pa.int64()), shift_us)
            chosen = chosen.set_column(index, "stamp", moved.cast(pa.timestamp("us", tz="UTC")))
            made = encode.messages(chosen, readings_per_message)
            events = [
                Event(due, device, value, count, False)
                for due, device, value, count in zip(
                    made.newest_us.tolist(), made.device_id, made.value, made.readings.tolist(), strict=True
                )
            ]
            events += [Event(*span, 0, True) for span in encode.truth_spans(chosen, self.source)]
            yield from sorted(events, key=lambda event: event.due_us)

    def schedule(self, start_us: int | None, align_us: int, readings_per_message: int) -> Iterator[Event]:
        """All people's events in the order of time.

        start_us : when every recording starts, a multiple of align_us; None: recorded time is kept. Recordings are
        moved by multiples of align_us, so that windows cut them at the same readings as before.
        """
        flows = []
        for person in self.people:
            first, _ = self.span(person) or (0, 0)
            shift = 0 if start_us is None else start_us - first // align_us * align_us
            flows.append(self.events(person, shift, readings_per_message))
        return heapq.merge(*flows, key=lambda event: event.due_us)

    def longest_us(self, align_us: int) -> int:
        """The longest recording, from the multiple of align_us before its start. DataError if all are empty."""
        spans = [span for span in map(self.span, self._parts) if span]
        if not spans:
            raise DataError("these recordings hold no usable reading")
        return max(last - first // align_us * align_us for first, last in spans)


def _pieces(folder: Path) -> Generator[pa.Table, None, None]:
    """One partition person=.../date=... of prepared recordings, ten minutes at a time."""
    files = sorted(folder.glob("*.parquet"))
    person = unquote(folder.parent.name.removeprefix("person="))
    schema = chunk_schema()
    with readable(folder):
        if len(files) == 1:  # as `activity prepare` writes it: in the order of time
            tables = (pa.Table.from_batches([b]) for b in pq.ParquetFile(files[0]).iter_batches(_PIECE_ROWS))
        else:
            tables = (
                t for t in [pa.concat_tables([pq.ParquetFile(f).read() for f in files]).sort_by("stamp")]
            )
        for table in tables:
            table = table.append_column("person", pa.repeat(pa.scalar(person), len(table)))
            for name in schema.names:  # fields that the version which prepared them did not know
                if name not in table.column_names:
                    table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
            yield table.select(schema.names).cast(schema)


def find(
    what: str, prepared_folder: Path, people: Sequence[str] | None = None, limit_seconds: float | None = None
) -> Recordings:
    """Recordings by the name of what is prepared, by a prepared folder, by a path of raw recordings, or by
    SOURCE:PATH, where SOURCE may be a mapping.

    Raises ConfigError where there is nothing of that name, or no recording of one of these people.
    """
    path = Path(what)
    name, colon, rest = what.partition(":")
    if colon and is_source(name) and not path.exists():
        return _of_units(source_named(name).scan(Path(rest).expanduser()), people, limit_seconds)
    if not path.exists() and "/" not in what and prepared.is_prepared(prepared_folder / what):
        path = prepared_folder / what
    elif not path.exists() and is_source(what):
        raise ConfigError(f"{what} is not prepared yet; run `activity prepare {what} PATH` first")
    if not path.exists():
        raise ConfigError(
            f"there is neither a source nor a path {what}; sources are {', '.join(SOURCES)}, "
            "and SOURCE:PATH reads raw recordings"
        )
    if prepared.is_prepared(path):
        chosen = prepared.choose(prepared.people_in(path), people)
        days = {p: sorted(path.glob(f"person={prepared.folder_name(p)}/date=*")) for p in chosen}
        return Recordings(path.name, {p: list(d) for p, d in days.items()}, limit_seconds)
    return _of_units(_raw(path), people, limit_seconds)


def _of_units(units: list[Unit], people: Sequence[str] | None, limit_seconds: float | None) -> Recordings:
    by_person: dict[str, list[Unit | Path]] = {}
    for unit in units:
        by_person.setdefault(unit.person, []).append(unit)
    chosen = prepared.choose(sorted(by_person), people)
    return Recordings(units[0].source, {p: by_person[p] for p in chosen}, limit_seconds)


def _raw(path: Path) -> list[Unit]:
    """The units of the first source, in the order of SOURCES, that recognises what is at a path."""
    for source in SOURCES.values():
        try:
            return source.scan(path)
        except (ConfigError, DataError):
            continue
    raise DataError(
        f"{path} holds no recording of a known source ({', '.join(SOURCES)}); tables of another kind need a "
        f"mapping, MAPPING:{path}, which `activity prepare table {path} --guess` writes"
    )


def start_of_replay(now_us: int, longest_us: int, speed: float | None, align_us: int) -> int:
    """When moved recordings start, so that no stamp is ever ahead of the clock while they are sent.

    speed : recorded seconds per second, None for as fast as possible. A recording that is sent faster than it was
    made starts in the past, by its length less the time that sending takes.
    """
    sending_us = 0.0 if speed is None else longest_us / speed
    start = now_us + min(0, int(sending_us) - longest_us)
    return int(np.floor_divide(start, align_us)) * align_us
