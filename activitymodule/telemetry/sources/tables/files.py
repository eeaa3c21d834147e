"""Tables as blocks of columns: delimited text in any encoding, Parquet, and NumPy arrays of windows."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from activitymodule.errors import DataError
from activitymodule.telemetry.mapping.model import Format
from activitymodule.telemetry.sources.archives import spooled
from activitymodule.telemetry.sources.csv_blocks import stream_csv

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ENDINGS = (".csv", ".tsv", ".txt", ".dat", ".parquet", ".npy")
_READ = 1 << 20
_ROWS = 200_000
_WINDOWS = 2_000

Beside = Callable[[str], np.ndarray]
"""A .npy file beside the one that is read, by its name."""


@dataclass(frozen=True)
class Block:
    """Rows of a file. columns : by name, text or typed; malformed : rows of another length before or among them;
    begins : bool (n,), rows that do not go on from the one before; None where all do."""

    columns: pa.Table
    malformed: int = 0
    begins: np.ndarray | None = None


@dataclass(frozen=True)
class OpenTable:
    """A file whose header has been read: the names of its columns, and its rows."""

    names: list[str]
    blocks: Callable[[Sequence[str]], Iterator[Block]]


def is_table(name: str) -> bool:
    """Whether a file is named as one that can hold a table."""
    return name.lower().removesuffix(".gz").endswith(ENDINGS)


@contextmanager
def unzipped(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """A file as it is, or what is in it where its name ends with .gz."""
    if name.lower().endswith(".gz"):
        with gzip.open(file) as plain:
            yield cast(IO[bytes], plain)
    else:
        yield file


@contextmanager
def open_table(file: IO[bytes], name: str, form: Format, beside: Beside) -> Iterator[OpenTable]:
    """The table in a file, by its name's ending. Raises DataError, and what Arrow and NumPy raise."""
    low = name.lower()
    if low.endswith(".gz"):
        with unzipped(file, name) as plain, open_table(plain, name[:-3], form, beside) as table:
            yield table
    elif low.endswith(".parquet"):
        with spooled(file) as seekable:
            yield _parquet(pq.ParquetFile(seekable))
    elif low.endswith(".npy"):
        with spooled(file) as seekable:
            yield _windows(np.load(seekable, allow_pickle=False), name, form, beside)
    else:
        encoding = "utf-8-sig" if form.encoding.lower() in ("utf-8", "utf8") else form.encoding
        yield _text(io.TextIOWrapper(io.BufferedReader(_Forward(file)), encoding, "replace"), name, form)


def _parquet(file: pq.ParquetFile) -> OpenTable:
    def blocks(columns: Sequence[str]) -> Iterator[Block]:
        for batch in file.iter_batches(_ROWS, columns=list(columns)):
            yield Block(pa.Table.from_batches([batch]))

    return OpenTable(list(file.schema_arrow.names), blocks)


def _text(text: io.TextIOWrapper, name: str, form: Format) -> OpenTable:
    for _ in range(form.skip_rows):
        text.readline()
    first = None
    names: list[str] = []
    if form.header_rows:
        names = _split(text.readline(), form)
        for _ in range(form.header_rows - 1):
            text.readline()
    else:
        first = text.readline()
        names = [str(i) for i in range(1, len(_split(first, form)) + 1)]
    if form.columns is not None:
        if names and names != [""] and len(names) != len(form.columns):
            raise DataError(
                f"{name} has {len(names)} columns and the mapping names {len(form.columns)}; "
                "check format.columns and format.delimiter"
            )
        names = list(form.columns)
    names = _unique(names)

    def blocks(columns: Sequence[str]) -> Iterator[Block]:
        stream = _Bytes(_plain(text, form, first or ""))
        for table, malformed in stream_csv(stream, names, columns, form.delimiter):  # type: ignore[arg-type]
            yield Block(table, malformed)

    return OpenTable(names, blocks)


def _split(line: str, form: Format) -> list[str]:
    line = _tidy(line, form).rstrip("\r\n").lstrip("\ufeff")
    row = next(csv.reader([line], delimiter=form.delimiter), [])
    return [value.strip() for value in row]


def _unique(names: list[str]) -> list[str]:
    """Names, the second `x` as `x_2`, one without a name by its place."""
    seen: dict[str, int] = {}
    found = []
    for place, name in enumerate(names, 1):
        name = name or str(place)
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found


def _tidy(text: str, form: Format) -> str:
    """Whole lines without what ends a row, and with one blank for many where blanks delimit."""
    if form.row_end:
        text = re.sub(rf"[ \t]*{re.escape(form.row_end)}[ \t]*$", "", text, flags=re.MULTILINE)
    if form.delimiter == " ":
        text = re.sub(r"^ | $", "", re.sub(r"[ \t]+", " ", text), flags=re.MULTILINE)
    return text


def _plain(text: io.TextIOWrapper, form: Format, first: str) -> Iterator[bytes]:
    """The rest of a text as UTF-8, whole lines at a time."""
    while True:
        lines = first + text.read(_READ)
        if not lines:
            return
        if not lines.endswith("\n"):
            lines += text.readline()
        first = ""
        yield _tidy(lines, form).encode("utf-8", "replace")


class _Forward(io.RawIOBase):
    """A stream that can only be read, such as a member of an archive, for what asks whether it can do more."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        target = memoryview(buffer).cast("B")
        data = self._file.read(len(target))
        target[: len(data)] = data
        return len(data)


class _Bytes:
    """What yields bytes, as a file to read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._rest = parts, b""

    def read(self, n: int) -> bytes:
        """At most n bytes; none at the end."""
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return b""
            self._rest = part
        found, self._rest = self._rest[:n], self._rest[n:]
        return found


def _windows(array: np.ndarray, name: str, form: Format, beside: Beside) -> OpenTable:
    """Windows (windows, samples, channels) as the signal they were cut from, where they overlap bit for bit."""
    spec = form.windows
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or form.columns is None or len(form.columns) != array.shape[2]:
        raise DataError(
            f"{name} has the shape {array.shape}; a mapping of NumPy arrays needs (windows, samples, channels) "
            "and format.columns with a name for each channel"
        )
    overlap = spec.overlap if spec else 0
    size = array.shape[1]
    if not 0 <= overlap < size:
        raise DataError(f"{name} has windows of {size} samples; format.windows.overlap must be less")
    others = {key: beside(other) for key, other in (spec.per_window if spec else {}).items()}
    for key, values in others.items():
        if len(values) != len(array):
            raise DataError(f"{name} has {len(array)} windows and its {key} has {len(values)} values")
    channels = list(form.columns)

    def blocks(columns: Sequence[str]) -> Iterator[Block]:
        for low in range(0, len(array), _WINDOWS):
            part = array[low : low + _WINDOWS]
            before = array[low - 1 : low - 1 + len(part)] if low else np.concatenate([part[:1], part[:-1]])
            goes_on = np.full(len(part), overlap > 0)
            if overlap:
                goes_on &= (part[:, :overlap] == before[:, size - overlap :]).all(axis=(1, 2))
            if not low:
                goes_on[0] = False
            for values in others.values():
                flat = values.reshape(len(values), -1)[:, 0]
                here = flat[low : low + len(part)]
                goes_on[1:] &= here[1:] == here[:-1]
                goes_on[0] &= bool(low) and flat[low - 1] == flat[low]
            kept = np.ones((len(part), size), bool)
            kept[goes_on, :overlap] = False
            begins = np.zeros((len(part), size), bool)
            begins[:, 0] = ~goes_on
            table = {}
            for column in columns:
                if column in channels:
                    table[column] = pa.array(part[:, :, channels.index(column)][kept].astype(float))
                else:
                    value = others[column].reshape(len(array), -1)[low : low + len(part), 0]
                    table[column] = pa.array(np.repeat(value.astype(str), kept.sum(axis=1)).tolist())
            yield Block(pa.table(table), 0, begins[kept])

    return OpenTable([*channels, *others], blocks)


def missing_column(name: str, names: Iterable[str], where: str) -> DataError:
    """The error for a column that a file does not have, with the nearest one that it has."""
    names = list(names)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    shown = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
    return DataError(f"{where} has no column {name}; {hint}It has {shown}")
