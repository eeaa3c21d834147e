"""Predictions of past days in the lake, after they have left the store.

    predictions/date=2026-08-31/predictions.parquet     a day (UTC) of window_start, with the columns of the store

A file appears complete or not at all. A window that comes again, for a day that is already here, never replaces a row
of more readings, as in the store.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.json
import pyarrow.parquet as pq

from activitymodule.errors import DataError
from activitymodule.lake.folder import LakeFolder, remove_folder
from activitymodule.settings import Settings
from activitymodule.store.prediction_columns import COLUMNS

FOLDER = "predictions"
_FILE = "predictions.parquet"
_DAY = re.compile(r"date=(\d{4}-\d{2}-\d{2})")
_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "timestamptz": pa.timestamp("us", "UTC"),
    "real": pa.float32(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real[]": pa.list_(pa.float32()),
    "text[]": pa.list_(pa.string()),
}
SCHEMA = pa.schema([(column.name, _TYPES[column.type]) for column in COLUMNS])
_AS_CSV = {
    name: pa.string() if pa.types.is_list(kind) else kind
    for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)
}
_CONTENT = b"activity:content"

Copy = Callable[[IO[bytes]], None]
"""Writes the rows as CSV with a header, arrays as JSON (store/prediction_days.py)."""


@dataclass(frozen=True)
class LakeDay:
    """A day in the lake: its rows and bytes. content : what `write_day` was given for it last; written_ns : when, in
    nanoseconds since 1970"""

    day: date
    path: str
    rows: int
    bytes: int
    content: str
    written_ns: int = 0


class _Lake(LakeFolder):
    def __init__(self, config: Settings) -> None:
        super().__init__(config, FOLDER)

    def path(self, day: date) -> str:
        return f"{self.base}/date={day}/{_FILE}"

    def read(self, day: date) -> LakeDay | None:
        """What is there of a day; None where nothing is."""
        path = self.path(day)
        if not self.is_file(path):
            return None
        info = self.files.get_file_info(path)
        found = pq.read_metadata(path, filesystem=self.files)
        content = (found.metadata or {}).get(_CONTENT, b"").decode()
        return LakeDay(day, path, found.num_rows, info.size or 0, content, info.mtime_ns or 0)


def days(config: Settings) -> list[LakeDay]:
    """The days that the lake has, oldest first; [] where it has none."""
    lake = _Lake(config)
    paths = (path.split("/") for path in lake.paths_below())
    names = (_DAY.fullmatch(path[-2]) for path in paths if path[-1] == _FILE)
    with lake.explained():
        read = (lake.read(date.fromisoformat(name[1])) for name in names if name)
        return sorted(filter(None, read), key=lambda one: one.day)


def write_day(config: Settings, day: date, rows: int, content: str, copy: Copy) -> LakeDay:
    """Add a day's rows to the lake, unless exactly these were added last.

    rows, content : how many `copy` writes, and what identifies them
    Raises DataError where it writes another number; then nothing is changed.
    """
    lake = _Lake(config)
    with lake.explained():
        before = lake.read(day)
        if before is not None and before.content == content:
            return before
        path = lake.path(day)
        with lake.partial(path) as partial:
            written = _write(lake, partial, content, _batches(copy))
            if written != rows:
                raise DataError(
                    f"{written:,} of {rows:,} predictions of {day} were written to the lake; nothing was deleted, "
                    "and the next `activity retention` tries again"
                )
            if before is not None:
                _merge(lake, partial, path, content)
            lake.publish(partial, path)
        after = lake.read(day)
        assert after is not None
        return after


def _write(lake: _Lake, path: str, content: str, batches: Iterator[pa.RecordBatch]) -> int:
    count = 0
    with (
        lake.files.open_output_stream(path) as stream,
        pq.ParquetWriter(stream, SCHEMA, compression="zstd", use_dictionary=True) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
            count += len(batch)
        writer.add_key_value_metadata({_CONTENT.decode(): content})
    return count


def _merge(lake: _Lake, partial: str, path: str, content: str) -> None:
    """Replace the partial file by its rows and those at `path`: of two with one key that of more readings."""
    tables = [pq.read_table(one, schema=SCHEMA, filesystem=lake.files) for one in (partial, path)]
    merged = best_of(pa.concat_tables(tables))
    _write(lake, partial, content, iter(merged.to_batches()))


def best_of(rows: pa.Table) -> pa.Table:
    """Each window once, sorted by watch and time: the row of most readings, of those the one of most duplicates."""
    keys = [(name, "ascending") for name in ("device_id", "window_start")]
    order = rows.sort_by([*keys, ("readings_used", "descending"), ("duplicates", "descending")])
    if len(order) < 2:
        return order
    same = pc.and_(
        *(pc.equal(order[name].slice(1), order[name].slice(0, len(order) - 1)) for name, _ in keys)
    )
    first = pa.chunked_array([pa.array([True]), *pc.invert(same).chunks])
    return order.filter(first)


def from_csv(copy: Copy) -> pa.Table:
    """The rows that `copy` writes, in memory."""
    return pa.Table.from_batches(_batches(copy), SCHEMA)


def _batches(copy: Copy) -> Iterator[pa.RecordBatch]:
    """The rows that `copy` writes, while it writes them."""
    receiving, sending = os.pipe()

    def send() -> None:
        with os.fdopen(sending, "wb") as sink:
            copy(sink)

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        try:
            with os.fdopen(receiving, "rb") as source:
                yield from _read(source)
        finally:
            # its error, if it has one, is the reason for what was missing here
            sent.result()


def _read(source: IO[bytes]) -> Iterator[pa.RecordBatch]:
    options = pyarrow.csv.ConvertOptions(
        column_types=_AS_CSV, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    reader = pyarrow.csv.open_csv(
        source,
        read_options=pyarrow.csv.ReadOptions(block_size=8 << 20, use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=options,
    )
    for batch in reader:
        yield pa.RecordBatch.from_arrays(
            [_typed(batch.column(field.name), field.type) for field in SCHEMA], schema=SCHEMA
        )


def _typed(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """JSON of arrays as lists: each different text is parsed once."""
    if not pa.types.is_list(kind):
        return values
    encoded = values.dictionary_encode()
    lines = b"".join(b'{"a":' + text.as_py().encode() + b"}\n" for text in encoded.dictionary)
    if not lines:
        return pa.nulls(len(values), kind)
    options = pyarrow.json.ParseOptions(explicit_schema=pa.schema([("a", kind)]))
    parsed = pyarrow.json.read_json(pa.BufferReader(lines), parse_options=options)["a"].combine_chunks()
    return parsed.take(encoded.indices)


def read(
    config: Settings, since: date | None = None, until: date | None = None, device_id: str | None = None
) -> pa.Table:
    """Predictions of these days (UTC, both included) that are in the lake, of one watch or of all."""
    lake = _Lake(config)
    with lake.explained():
        paths = [
            one.path
            for one in days(config)
            if (since is None or since <= one.day) and (until is None or one.day <= until)
        ]
        chosen: Any = None if device_id is None else pc.field("device_id") == device_id
        dataset = ds.dataset(paths, schema=SCHEMA, format="parquet", filesystem=lake.files)
        return dataset.to_table(filter=chosen) if paths else SCHEMA.empty_table()


def day_batches(config: Settings, day: date, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of a day that is in the lake, piece by piece."""
    lake = _Lake(config)
    with lake.explained(), lake.files.open_input_file(lake.path(day)) as file:
        yield from pq.ParquetFile(file).iter_batches(columns=list(columns))


def delete_days_before(config: Settings, day: date, *, dry_run: bool = False) -> list[LakeDay]:
    """Delete the days before `day`, and return what they held; dry_run: delete nothing."""
    lake = _Lake(config)
    old = [one for one in days(config) if one.day < day]
    with lake.explained():
        for one in [] if dry_run else old:
            remove_folder(lake.files, os.path.dirname(one.path))
    return old
