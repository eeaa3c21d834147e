"""Erasure of a person from files: Parquet by its columns, evaluations, text by line; and the search for what is left.

Files are found by what they hold, not by a list of folders, so that a kind of file that is added later is not
forgotten: Parquet with a column `participant`, `person`, `device_id` (and a time) or raw messages (`key`, `value`,
`timestamp`), a folder named after the person (`person=...`). A file is replaced whole; its checksum beside it, which
Hadoop writes, goes.
"""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from activitymodule.lake.archive import without_excluded
from activitymodule.lake.folder import LakeFolder, entries, remove_folder
from activitymodule.learning.gold import PREFIX
from activitymodule.settings import Telemetry
from activitymodule.telemetry.traces import Traces

_TIMES = ("window_start", "stamp", "span_start", "bout_start", "at")
_MESSAGES = {"key", "value", "timestamp"}
_NAMED = re.compile(r"(?:participant|person|device_id)=(.+)")
_ROWS = 65_536
_LINES = (".csv", ".jsonl", ".ndjson")


class Folder(LakeFolder):
    """A folder anywhere, on a disk or in object storage. name : for reports"""

    def __init__(self, address: str, name: str) -> None:
        self.address, self.name = address, name
        with self.explained():
            self.files, base = fs.FileSystem.from_uri(address)
            self.base = base.rstrip("/")

    def paths(self) -> list[str]:
        """The files below it, checksums of others left out."""
        return sorted(path for path in self.paths_below() if not path.endswith(".crc"))

    def area(self, path: str) -> str:
        """Which part of the folder a file is in, for reports: without names of people."""
        first = path.removeprefix(f"{self.base}/").split("/")
        return f"{self.name}/{first[0]}" if len(first) > 1 and "=" not in first[0] else self.name


@dataclass(frozen=True)
class Removed:
    """What was removed from one file: rows (messages, lines); 1 for a file of another kind."""

    path: str
    rows: int


class Eraser:
    """Removes a person from the files of a folder."""

    def __init__(self, folder: Folder, traces: Traces, limits: Telemetry) -> None:
        self._folder, self._traces, self._limits = folder, traces, limits
        self._text = re.compile(traces.pattern())
        self._ids = sorted({one.encode() for one in (*traces.watches, *traces.names)})

    def remove(self) -> Iterator[Removed]:
        """Remove the person from file after file. Raises ServiceUnavailableError where the folder cannot be used."""
        for path in self._folder.paths():
            with self._folder.explained():
                try:
                    rows = self.remove_from(path)
                except pa.ArrowInvalid:  # no Parquet: `left` lists it
                    continue
            if rows:
                yield Removed(path, rows)

    def training_files(self) -> list[str]:
        """The files of training sets that have windows of the person."""
        paths = [path for path in self._folder.paths() if "/training/windows-" in path and _parquet(path)]
        with self._folder.explained():
            return [path for path in paths if self._rows_in(path)]

    def left(self) -> list[str]:
        """Files that still have something of the person, or cannot be read to see."""
        return [path for path in self._folder.paths() if self._named(path) or self._holds(path)]

    def remove_from(self, path: str) -> int:
        """Remove the person from one file; how many rows that were."""
        if self._named(path):
            rows = pq.read_metadata(path, filesystem=self._folder.files).num_rows if _parquet(path) else 1
            self._delete(path)
            return max(1, rows)
        if _parquet(path):
            rows = self._rows_in(path)
            if rows:
                self._rewrite(path)
            return rows
        if path.endswith(".npz"):
            return self._remove_from_arrays(path)
        return self._remove_lines(path) if path.endswith(_LINES) else 0

    # ---- which rows

    def _named(self, path: str) -> bool:
        parts = path.removeprefix(self._folder.base).split("/")
        found = (_NAMED.fullmatch(part) for part in parts)
        return any(unquote(one[1]) in self._traces.names for one in found if one)

    def _columns(self, names: set[str]) -> list[str]:
        """The columns that say whose a row is."""
        if names >= _MESSAGES:
            return sorted(_MESSAGES)
        found: list[str] = [name for name in ("participant", "person", "device_id") if name in names]
        time = next((name for name in _TIMES if name in names), None)
        return [*found, time] if time and "device_id" in found else found

    def _kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch without what is the person's."""
        names = set(batch.schema.names)
        if names >= _MESSAGES:
            return (
                without_excluded(batch, self._traces.times, self._limits) if self._mentioned(batch) else batch
            )
        hit = np.zeros(len(batch), bool)
        if "participant" in names:
            hit |= _is_in(batch.column("participant"), self._traces.names)
        if "device_id" in names:
            device = batch.column("device_id").cast(pa.string())
            hit |= _is_in(device, self._traces.whole)
            time = next((name for name in _TIMES if name in names), None)
            if time is not None:
                us = pc.fill_null(batch.column(time).cast(pa.timestamp("us", "UTC")).cast(pa.int64()), 0)
                hit |= self._traces.times.rows(pc.fill_null(device, ""), us.to_numpy())
        if "person" in names:
            # labelled windows of training sets have no time: what a watch of theirs was labelled for goes whole
            watches = () if "device_id" in names else self._traces.watches
            known = self._traces.names | {PREFIX + name for name in (*self._traces.names, *watches)}
            hit |= _is_in(batch.column("person"), known)
        return batch.filter(pa.array(~hit)) if hit.any() else batch

    def _mentioned(self, batch: pa.RecordBatch) -> bool:
        """Whether any message may name the person; an escaped letter may hide a name."""
        for column in ("value", "key"):
            text = batch.column(column)
            if any(pc.any(pc.match_substring(text, one)).as_py() for one in (*self._ids, b"\\u")):
                return True
        return False

    def _batches(self, path: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        with self._folder.files.open_input_file(path) as file:
            yield from _opened(file).iter_batches(_ROWS, columns=columns)

    def _schema(self, path: str) -> pa.Schema:
        """The columns to write. What Spark wrote as INT96, which has no time zone, is UTC."""
        with self._folder.files.open_input_file(path) as file:
            opened = _opened(file)
            schema = opened.schema_arrow
            old = {
                one.name
                for one in map(opened.schema.column, range(len(opened.schema)))
                if one.physical_type == "INT96"
            }
        for k, one in enumerate(schema):
            if one.name in old:
                schema = schema.set(k, one.with_type(pa.timestamp("us", "UTC")))
        return schema

    def _rows_in(self, path: str) -> int:
        columns = self._columns(set(pq.read_schema(path, filesystem=self._folder.files).names))
        if not columns:
            return 0
        changed = 0
        for batch in self._batches(path, columns):
            kept = self._kept(batch)
            if kept is batch:
                continue
            changed += len(batch) - len(kept)
            if set(columns) >= _MESSAGES:  # some lose a part of their readings
                whole = Counter(batch.column("value").to_pylist()) & Counter(kept.column("value").to_pylist())
                changed += len(kept) - whole.total()
        return changed

    # ---- files

    def _rewrite(self, path: str) -> None:
        schema = self._schema(path)
        with self._folder.partial(path) as partial:
            with (
                self._folder.files.open_output_stream(partial) as stream,
                pq.ParquetWriter(stream, schema, compression="zstd") as writer,
            ):
                for batch in self._batches(path):
                    writer.write_table(pa.Table.from_batches([self._kept(batch)]).cast(schema))
            self._without_checksum(path)
            self._folder.publish(partial, path)

    def _delete(self, path: str) -> None:
        self._without_checksum(path)
        self._folder.files.delete_file(path)
        folder = os.path.dirname(path)
        while _NAMED.fullmatch(os.path.basename(folder)) or os.path.basename(folder).startswith("date="):
            if entries(self._folder.files, folder):
                break
            remove_folder(self._folder.files, folder)
            folder = os.path.dirname(folder)

    def _without_checksum(self, path: str) -> None:
        folder, name = os.path.split(path)
        checksum = f"{folder}/.{name}.crc"
        if self._folder.is_file(checksum):
            self._folder.files.delete_file(checksum)

    def _replace(self, path: str, content: bytes) -> None:
        with self._folder.partial(path) as partial:
            with self._folder.files.open_output_stream(partial) as stream:
                stream.write(content)
            self._folder.publish(partial, path)

    def _content(self, path: str) -> bytes:
        with self._folder.files.open_input_stream(path) as stream:
            return bytes(stream.read())

    def _arrays(self, path: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The arrays of an evaluation, and which of their entries are of the person."""
        with np.load(io.BytesIO(self._content(path)), allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        person = arrays.get("person", np.empty(0, str))
        return arrays, np.isin(person, sorted({*self._traces.names, *self._traces.watches}))

    def _remove_from_arrays(self, path: str) -> int:
        arrays, hit = self._arrays(path)
        if not hit.any():
            return 0
        kept = {name: one[~hit] if one.ndim and len(one) == len(hit) else one for name, one in arrays.items()}
        sink = io.BytesIO()
        np.savez_compressed(sink, **kept)  # type: ignore[arg-type]
        self._replace(path, sink.getvalue())
        return int(hit.sum())

    def _remove_lines(self, path: str) -> int:
        lines = self._content(path).decode("utf-8", "surrogateescape").splitlines(keepends=True)
        kept = [line for line in lines if not self._text.search(line.rstrip("\r\n"))]
        if len(kept) < len(lines):
            self._replace(path, "".join(kept).encode("utf-8", "surrogateescape"))
        return len(lines) - len(kept)

    def _holds(self, path: str) -> bool:
        if _parquet(path):
            try:
                return bool(self._rows_in(path))
            except (pa.ArrowInvalid, OSError):
                return True
        if path.endswith(".npz"):
            return bool(self._arrays(path)[1].any())
        content = self._content(path)
        if not any(one in content for one in self._ids):
            return False
        return self._text.search(content.decode("utf-8", "replace")) is not None


def _parquet(path: str) -> bool:
    return path.endswith(".parquet")


def _opened(file: pa.NativeFile) -> pq.ParquetFile:
    return pq.ParquetFile(file, coerce_int96_timestamp_unit="us")


def _is_in(column: pa.Array, names: frozenset[str] | set[str]) -> np.ndarray:
    wanted = pa.array(sorted(names), pa.string())
    found = pc.is_in(column.cast(pa.string()), value_set=wanted)
    return np.asarray(found.to_numpy(zero_copy_only=False))
