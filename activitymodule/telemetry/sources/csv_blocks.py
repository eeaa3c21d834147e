"""CSV files as blocks of text columns, and these as numbers and stamps."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from activitymodule.telemetry.decoding import parse_stamps

if TYPE_CHECKING:
    from _typeshed import SupportsRead, WriteableBuffer

_BLOCK_BYTES = 8 << 20
_MISSING = ["", "nan", "NaN", "None", "null", "NULL"]
_NUMBER = r"^\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"


class _Utf8(io.RawIOBase):
    """A file as UTF-8: other bytes become the replacement character. Arrow neither counts nor shows a row of another
    length that holds them."""

    def __init__(self, file: SupportsRead[bytes]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        target = memoryview(buffer).cast("B")
        if not self._rest:
            data = self._file.read(len(target))
            plain = data.isascii() and not self._decoder.getstate()[0]
            self._rest = data if plain and data else self._decoder.decode(data, not data).encode()
            if data and not self._rest:  # the first bytes of a character
                return self.readinto(buffer)
        n = min(len(target), len(self._rest))
        target[:n], self._rest = self._rest[:n], self._rest[n:]
        return n


def stream_csv(
    file: SupportsRead[bytes], header: Sequence[str], columns: Sequence[str], delimiter: str = ","
) -> Iterator[tuple[pa.Table, int]]:
    """Blocks of rows as text, and how many rows of another length each left out; `file` is past its header.

    Raises Arrow's errors, which `opened` explains.
    """
    malformed = 0

    def skip(_row: object) -> str:
        nonlocal malformed
        malformed += 1
        return "skip"

    try:
        reader = pacsv.open_csv(
            io.BufferedReader(_Utf8(file), _BLOCK_BYTES),
            read_options=pacsv.ReadOptions(
                column_names=list(header), block_size=_BLOCK_BYTES, use_threads=False
            ),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in header},
                include_columns=list(columns),
                strings_can_be_null=True,
                null_values=_MISSING,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise
    for batch in reader:
        count, malformed = malformed, 0
        yield pa.Table.from_batches([batch]), count
    if malformed:
        yield reader.schema.empty_table(), malformed


def numbers(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """float64 ndarray of shape (n,), NaN where missing or not a number, and how many were not a number."""
    try:
        return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), 0
    except pa.ArrowInvalid:
        is_number = pc.match_substring_regex(column, _NUMBER)
        good = pc.if_else(is_number, pc.utf8_trim_whitespace(column), None)
        bad = len(column) - column.null_count - pc.sum(is_number).as_py()
        return pc.cast(good, pa.float64()).to_numpy(zero_copy_only=False), bad


def naive_stamps(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Local times as UTC; an offset, where there is one, counts.

    Returns int64 microseconds and which could be read, both ndarray of shape (n,).
    """
    text = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
    text = pc.fill_null(text, "")
    has_offset = pc.match_substring_regex(text, r"\d{2}:\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)$")
    return parse_stamps(pc.if_else(has_offset, text, pc.binary_join_element_wise(text, "Z", "")))
