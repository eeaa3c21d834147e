"""The fast path: large batches by the scanner; what it leaves as lines through Arrow's reader, cut where one fails."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as paj

from activitymodule.settings import Telemetry
from activitymodule.telemetry.decoding.batch import Batch
from activitymodule.telemetry.decoding.lines import EPOCH_STAMP, Lines
from activitymodule.telemetry.decoding.results import columns_schema, one_chunk
from activitymodule.telemetry.decoding.scanned import scanned
from activitymodule.telemetry.schema import Field

_CHUNK_BYTES = 32 << 20  # of one call of Arrow's reader
_SCANNED = 2000  # fewer messages are read by Arrow before the scanner is imported
_LEAF = 8  # fewer messages than this are not worth a call of Arrow's reader
_BACKOFF = 32  # messages parsed one by one after a bad one near the start; doubles while they stay bad
_SAFE_DEPTH = 1000  # orjson rejects 1,024; with fewer brackets than this nothing can be nested that deep
_ROW = re.compile(r"in row (\d+)")


class FastReader:
    """Reads messages of a batch by Arrow's JSON reader.

    tables : columns of what was read (results.columns_schema). left : indices of the messages that only the
    slow path may decide about.
    """

    def __init__(self, batch: Batch, fields: Sequence[Field], limits: Telemetry) -> None:
        """Fields : those to convert; limits : how many items an array may have."""
        self._batch = batch
        self._fields = fields
        self._limits = limits
        self._schema = columns_schema(fields)
        self.tables: list[pa.Table] = []
        self.left: list[np.ndarray] = []

    def scan(self, messages: np.ndarray) -> np.ndarray:
        """Read what the scanner takes, in chunks; the messages that it leaves."""
        if len(messages) < _SCANNED or (scanner := _scanner()) is None:
            return messages
        left = []
        for part in self._parts(messages):
            table, taken = scanned(scanner, self._batch, part, self._schema, self._limits.max_items)
            self.tables.append(table)
            left.append(part[~taken])
        return np.concatenate(left)

    def _parts(self, messages: np.ndarray) -> list[np.ndarray]:
        """These messages in chunks of a bounded size."""
        sizes = np.cumsum((self._batch.ends - self._batch.starts)[messages], dtype=np.int64)
        cuts = np.searchsorted(sizes, np.arange(_CHUNK_BYTES, int(sizes[-1]) + 1, _CHUNK_BYTES)) + 1
        return np.split(messages, np.unique(cuts[cuts < len(messages)]))

    def read(self, messages: np.ndarray, in_arrays: bool) -> None:
        """Read messages of one shape, in chunks: objects, or arrays of objects."""
        if len(messages) < _LEAF:
            self.left.append(messages)
            return
        for part in self._parts(messages):
            lines = Lines.of(self._batch, part, in_arrays)
            doubtful = lines.doubtful()
            if doubtful.any():
                self.left.append(part[doubtful])
                part = part[~doubtful]
                if len(part) < _LEAF:
                    self.left.append(part)
                    continue
                lines = Lines.of(self._batch, part, in_arrays)
            self._read_lines(lines)

    def _read_lines(self, lines: Lines, epoch: bool | None = None) -> None:
        """Read all lines, cutting at those that fail; the bad ones end in `left`.

        epoch : whether stamps are epoch milliseconds; None: as in the first line, and where lines of the
        other kind turn up, those that remain are read kind by kind.
        """
        kind_known = epoch is not None
        if epoch is None:
            epoch = EPOCH_STAMP.search(lines.text, 0, int(lines.offsets[1])) is not None
        backoff = _BACKOFF
        ranges = [(0, len(lines))]
        while ranges:
            start, stop = ranges.pop()
            if stop - start < _LEAF:
                self.left.append(lines.messages[start:stop])
                continue
            problem = self._read_range(lines, start, stop, epoch)
            if problem is None:
                continue
            if "/stamp) changed from" in problem and not kind_known:
                self._read_by_kind(lines, [(start, stop), *reversed(ranges)])
                return
            row = _ROW.search(problem)
            if row is None:  # a value did not convert, and Arrow does not say whose: halve
                if stop - start <= 2 * _BACKOFF:
                    self.left.append(lines.messages[start:stop])
                else:
                    middle = (start + stop) // 2
                    ranges += [(middle, stop), (start, middle)]
                continue
            bad = start + int(row[1])
            if bad - start < backoff:  # few good ones before it: bad ones may be many here
                after = min(start + backoff, stop)
                self.left.append(lines.messages[start:after])
                ranges.append((after, stop))
                backoff *= 2
            else:
                self.left.append(lines.messages[bad : bad + 1])
                ranges += [(bad + 1, stop), (start, bad)]
                backoff = _BACKOFF

    def _read_by_kind(self, lines: Lines, ranges: list[tuple[int, int]]) -> None:
        """Read lines with stamps of both kinds: those with epoch milliseconds, then those with text."""
        remaining = np.concatenate([np.arange(*r) for r in ranges])
        is_epoch = lines.holding(EPOCH_STAMP)[remaining]
        for chosen, epoch in ((remaining[is_epoch], True), (remaining[~is_epoch], False)):
            if len(chosen):
                of_kind = Lines.of(self._batch, lines.messages[chosen], lines.in_arrays)
                self._read_lines(of_kind, epoch)

    def _read_range(self, lines: Lines, start: int, stop: int, epoch: bool) -> str | None:
        """Read the lines [start, stop) into a table; the complaint of Arrow's reader where it fails."""
        try:
            table, doubtful = self._columns(lines, start, stop, epoch)
        except pa.ArrowInvalid as error:
            return str(error)
        except UnicodeDecodeError:  # pyarrow cannot show the value it complains of
            return ""
        self.tables.append(table)
        self.left.append(doubtful)
        return None

    def _columns(self, lines: Lines, start: int, stop: int, epoch: bool) -> tuple[pa.Table, np.ndarray]:
        """Columns of the lines [start, stop); the messages among them that only the slow path may decide about."""
        reading = [pa.field("stamp", pa.int64() if epoch else pa.string())]
        reading += [f for f in self._schema if f.name not in ("message", "item", "stamp", "stamp_ms")]
        table = _parsed(lines, start, stop, reading)
        n = stop - start
        if len(table) != n:
            raise pa.ArrowInvalid("a line holds more than one value")
        if lines.in_arrays:
            arrays, line, item, doubtful = self._items(one_chunk(table.column("r")), n)
        else:
            arrays = [one_chunk(c) for c in table.select([f.name for f in reading]).columns]
            line, item, doubtful = np.arange(n), np.zeros(n, np.int32), np.zeros(n, bool)
        # Arrow nests without end, orjson does not; short lines and flat readings (one bracket each) are safe
        flat = len(line) + (2 * n if lines.in_arrays else 0)
        deep = lines.nested_beyond(start, stop, _SAFE_DEPTH, flat)
        if deep is not None:
            doubtful |= deep
        columns = dict(zip([f.name for f in reading], arrays, strict=True))
        self._doubt_endless(columns, line, doubtful)
        stamp = columns["stamp"]
        columns["stamp"] = pa.nulls(len(line), pa.string()) if epoch else stamp
        columns["stamp_ms"] = stamp if epoch else pa.nulls(len(line), pa.int64())
        messages = lines.messages[start:stop].astype(np.int32)
        columns["message"], columns["item"] = pa.array(messages[line]), pa.array(item.astype(np.int32))
        result = pa.Table.from_arrays([columns[f.name] for f in self._schema], schema=self._schema)
        if doubtful.any():
            result = result.filter(pa.array(~doubtful[line]))
        return result, lines.messages[start:stop][doubtful]

    def _items(
        self, lists: pa.ListArray, n: int
    ) -> tuple[list[pa.Array], np.ndarray, np.ndarray, np.ndarray]:
        """Columns of the items of n arrays, the line and the place of each item, and the doubtful lines."""
        counts = np.diff(lists.offsets.to_numpy())
        structs = lists.flatten()
        line = np.repeat(np.arange(n), counts)
        item = np.arange(len(structs)) - np.repeat(np.cumsum(counts) - counts, counts)
        doubtful = (counts == 0) | (counts > self._limits.max_items)
        if structs.null_count:
            doubtful[line[structs.is_null().to_numpy(zero_copy_only=False)]] = True
        return structs.flatten(), line, item, doubtful

    def _doubt_endless(self, columns: dict[str, pa.Array], line: np.ndarray, doubtful: np.ndarray) -> None:
        """Marks the lines whose numbers became infinite: hundreds of digits."""
        for field in self._fields:
            if field.kind == "float" and len(line):
                span = pc.min_max(columns[field.name])
                if math.inf in (span["max"].as_py(), -(span["min"].as_py() or 0)):
                    endless = np.isinf(columns[field.name].to_numpy(zero_copy_only=False))
                    doubtful[line[endless]] = True


def _parsed(lines: Lines, start: int, stop: int, reading: list[pa.Field]) -> pa.Table:
    """The lines [start, stop) by Arrow's reader, in one block, so that its row numbers count from `start`."""
    first, last = int(lines.offsets[start]), int(lines.offsets[stop])
    schema = pa.schema([pa.field("r", pa.list_(pa.struct(reading)))] if lines.in_arrays else reading)
    return paj.read_json(
        pa.BufferReader(pa.py_buffer(lines.text).slice(first, last - first)),
        read_options=paj.ReadOptions(use_threads=False, block_size=last - first + 1),
        parse_options=paj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )


@cache
def _scanner() -> ModuleType | None:
    """The compiled scanner; None where numba is not installed: Arrow's reader then reads everything."""
    try:
        from activitymodule.telemetry.decoding import scanner  # half a second, and an optional extra
    except ImportError:
        return None
    return scanner
