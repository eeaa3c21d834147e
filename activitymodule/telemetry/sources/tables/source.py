"""The source of mapped tables: files of a folder or an archive to units by person, and units to readings."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

import numpy as np

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.chunks import Chunk
from activitymodule.telemetry.mapping import Mapping, Table, parse
from activitymodule.telemetry.merging import merged
from activitymodule.telemetry.resampling import Resampler, Rows
from activitymodule.telemetry.sources.archives import opened_file, spooled, unpacked
from activitymodule.telemetry.sources.base import Unit, must_exist
from activitymodule.telemetry.sources.tables.files import Beside, OpenTable, missing_column, open_table
from activitymodule.telemetry.sources.tables.finding import Found, listed, streams, taken
from activitymodule.telemetry.sources.tables.rows import (
    START_US,
    Rowmaker,
    Trials,
    columns_of,
    safe_name,
    texts,
)
from activitymodule.telemetry.sources.tables.spans import SpansOf, read_spans
from activitymodule.telemetry.sources.tables.times import Clock
from activitymodule.telemetry.untrusted import readable

Wearer = tuple[str, str | None]
"""A person, and the device where the files or rows name one."""


class TableSource:
    """Tables that a mapping describes, as a source (sources.base.Source)."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.name = mapping.name
        self.left_out: list[str] = []
        """What the last scan found and the mapping does not use: columns and files."""

    @classmethod
    def of(cls, unit: Unit) -> TableSource:
        """The source of a unit, on whatever machine it is read."""
        return cls(parse(unit.mapping or ""))

    def _table(self, file: Found) -> Table:
        return (self.mapping, *self.mapping.also)[file.table]

    def scan(self, path: Path) -> list[Unit]:
        """One unit a person and device. Raises ConfigError or DataError where no file fits, or one lacks a column."""
        must_exist(path)
        files, others = [], []
        for file, member, name in listed(path):
            found = taken(self.mapping, file, member, name)
            if found is None:
                others.append(name)
            else:
                files.append(found)
        if not any(file.table == 0 for file in files):
            raise ConfigError(
                f"{path} holds no file that the mapping {self.name} takes (files: {self.mapping.files}"
                + (f", path: {self.mapping.path}" if self.mapping.path else "")
                + f"); it holds {', '.join(others[:4]) or 'nothing'}{' ...' if len(others) > 4 else ''}"
            )
        self._one_of_a_kind(files)
        spans = [name for name in others if self._is_spans(name)]
        if self.mapping.spans is not None and len(spans) != 1:
            raise ConfigError(
                f"{path} must hold one file of spans {self.mapping.spans.file}; it holds {len(spans)}"
            )
        unused: Counter[str] = Counter()
        no_tables: list[str] = []
        units = self._worn(files, unused, no_tables)
        if not units:
            raise DataError(f"no row of {path} names a person; see `person` of the mapping {self.name}")
        self.left_out = [f"column {name} of {n} file{'s' * (n != 1)}" for name, n in sorted(unused.items())]
        self.left_out += [f"file {name}" for name in [*no_tables, *others] if name not in spans]
        place = next(((file, member) for file, member, name in listed(path) if name in spans), None)
        return [self._unit(path, wearer, units[wearer], place) for wearer in sorted(units, key=str)]

    def _worn(
        self, files: list[Found], unused: Counter[str], no_tables: list[str]
    ) -> dict[Wearer, list[Found]]:
        """The files of each wearer; one that names nobody is of whoever wore the others of its trial."""
        units: dict[Wearer, list[Found]] = defaultdict(list)
        nobodys: list[Found] = []
        for file, wearers in self._wearers(files, unused, no_tables):
            for k, wearer in enumerate(sorted(wearers, key=str)):
                units[wearer].append(replace(file, counts=k == 0))
            if not wearers and file.table > 0:
                nobodys.append(file)
        for file in nobodys:
            for mine in units.values():
                if any(one.trial == file.trial for one in mine):
                    mine.append(file)
        return units

    def _is_spans(self, name: str) -> bool:
        return self.mapping.spans is not None and PurePosixPath(name).match(self.mapping.spans.file)

    def _one_of_a_kind(self, files: list[Found]) -> None:
        """Raises ConfigError where files that are to be joined could be joined in more than one way."""
        if self.mapping.also:
            for (trial, _), n in Counter((file.trial, file.table) for file in files).items():
                if n > 1:
                    raise ConfigError(
                        f"{n} files of one kind belong to the trial {' '.join(filter(None, trial))}; tell them apart "
                        "by a group (?P<trial>...) in `path`"
                    )

    def _unit(
        self, path: Path, wearer: Wearer, files: list[Found], spans: tuple[str, str | None] | None
    ) -> Unit:
        person, device = wearer
        name = f"{self.name}-{person}" + (f"-{device}" if device is not None else "")
        fixed = self.mapping.device.value if self.mapping.device else None
        detail = {
            "device_id": safe_name(fixed or name)[:128],
            "device": device,
            "files": [asdict(file) for file in sorted(files, key=_order)],
            "spans": spans,
        }
        mapping = self.mapping.model_dump_json(by_alias=True, exclude_unset=True)
        return Unit(self.name, str(path), person, detail=json.dumps(detail), mapping=mapping)

    def _wearers(
        self, files: list[Found], unused: Counter[str], no_tables: list[str]
    ) -> Iterator[tuple[Found, set[Wearer]]]:
        """Who wore what in each file. Every header is read, and the rows where a column names them.

        no_tables : takes empty files, and those that lack a column where the mapping does not say which files it
        takes. Raises DataError where it says so, or no file is another.
        """
        lacking: list[DataError] = []
        whole = False
        by_place = {(file.path, file.member): file for file in files}
        for path, member, stream in streams(list(by_place)):
            file = by_place[path, member]
            table = self._table(file)
            with readable(file.name), open_table(stream, file.name, table.format, _beside(file)) as opened:
                used = columns_of(table)
                missing = next((column for column in used if column not in opened.names), None)
                if missing is not None:
                    lacking.append(missing_column(missing, opened.names, file.name))
                    if table.files != "*" and opened.names:
                        raise lacking[0]
                    no_tables.append(f"{file.name}: {f'no {missing}' if opened.names else 'empty'}")
                    continue
                unused.update(column for column in opened.names if column not in used)
                first, pairs = _looked_at(table, opened)
            who = (self.mapping.person.value if self.mapping.person else None) or file.groups.get("person")
            wearers = {(pair[0] or who, pair[1] or file.groups.get("device")) for pair in pairs}
            whole = True
            yield (
                replace(file, first_us=first),
                {(person, device) for person, device in wearers if person is not None},
            )
        if lacking and not whole:
            raise lacking[0]

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The unit's readings, trial after trial. Raises DataError where a file is not as its header promised."""
        detail = json.loads(unit.detail or "{}")
        trials: dict[tuple[str, ...], list[Found]] = defaultdict(list)
        for file in (Found(**one) for one in detail["files"]):
            trials[file.trial if self.mapping.also else (file.path, file.name)].append(file)
        start = self.mapping.time.start
        clock = Trials(round(datetime.fromisoformat(start).timestamp() * 1e6) if start else START_US)
        spans = self._spans(unit, detail["spans"])
        resampler = Resampler(unit.person, detail["device_id"], self.mapping.device_model)

        def maker(file: Found, joined: bool) -> Rowmaker:
            return Rowmaker(
                self.mapping,
                self._table(file),
                clock,
                person=unit.person,
                device=detail["device"],
                label=file.groups.get("label"),
                spans=spans,
                joined=joined,
                counts=file.counts,
            )

        in_archives = {file.path for files in trials.values() for file in files if file.member is not None}
        with ExitStack() as stack:
            copies = {
                path: stack.enter_context(unpacked(Path(path), _members(trials, path)))
                for path in sorted(in_archives)
            }
            for files in trials.values():
                files = sorted(files, key=lambda file: file.table)
                parts = []
                for place, file in enumerate(files):
                    path = Path(file.path) if file.member is None else copies[file.path][file.member]
                    parts.append(self._rows(file, path, maker(file, place > 0)))
                for rows in merged(parts):
                    yield from resampler.push(rows)
        yield from resampler.finish()

    def _rows(self, file: Found, path: Path, maker: Rowmaker) -> Iterator[Rows]:
        table = self._table(file)
        with (
            readable(file.name),
            open(path, "rb") as stream,
            open_table(stream, file.name, table.format, _beside(file)) as opened,
        ):
            yield from maker.rows(opened.blocks(columns_of(table)))

    def _spans(self, unit: Unit, place: list[str | None] | None) -> SpansOf | None:
        if place is None or place[0] is None:
            return None
        with opened_file(place[0], place[1], str(place[1] or place[0])) as stream:
            found = read_spans(stream, str(place[1] or place[0]), self.mapping)
        none = SpansOf(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, object))
        return found.get(unit.person, found.get(None, none))


def _members(trials: dict[tuple[str, ...], list[Found]], archive: str) -> set[str]:
    return {
        f.member for files in trials.values() for f in files if f.path == archive and f.member is not None
    }


def _order(file: Found) -> tuple[int, str, int]:
    return file.first_us, file.name, file.table


def _looked_at(table: Table, opened: OpenTable) -> tuple[int, set[tuple[str | None, ...]]]:
    """The first time of a file on the clock (0 where it has none), and the persons and devices in its rows."""
    named = (table.person, table.device)
    in_rows = [one.column for one in named if one is not None and one.column is not None]
    times = [] if table.time.relative else [table.time.column or "", *(table.time.columns or ())]
    columns = list(dict.fromkeys(name for name in (*times, *in_rows) if name))
    first: int | None = 0 if not times else None
    pairs: set[tuple[str | None, ...]] = set() if in_rows else {(None, None)}
    for block in opened.blocks(columns) if columns else ():
        if first is None:
            time_us, known = Clock(table.time, table.format.decimal == ",").read(block.columns)[:2]
            first = int(time_us[known][0]) if known.any() else None
        if in_rows:
            values = [
                texts(block.columns.column(one.column)).to_pylist()
                if one is not None and one.column is not None
                else [None] * len(block.columns)
                for one in named
            ]
            pairs |= set(zip(*values, strict=True))
        elif first is not None:
            break
    return first or 0, pairs


def _beside(file: Found) -> Beside:
    """Reads a .npy file beside a file, or beside a member of an archive."""

    def load(name: str) -> np.ndarray:
        if file.member is None:
            path, member = str(Path(file.path).with_name(name)), None
        else:
            path, member = file.path, str(PurePosixPath(file.member).with_name(name))
        with opened_file(path, member, name) as stream, spooled(stream) as seekable:
            return np.asarray(np.load(seekable, allow_pickle=False))

    return load
