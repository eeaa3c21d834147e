"""Predictions into the store: COPY into a temporary table, then one upsert that never makes a row worse."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.store.connection import Connection
from activitymodule.store.locks import WRITING_PREDICTIONS
from activitymodule.store.prediction_columns import COLUMNS, KEY, Column, PredictionRows, written
from activitymodule.store.prediction_days import ensure_days
from activitymodule.store.queries import fetch_all
from activitymodule.store.times import AS_US, literals

__all__ = ["PredictionRows", "StoredWindows", "copy_text", "stored_windows", "write_predictions"]

_COPY = "COPY staged_predictions FROM STDIN"


def staging_sql(columns: Sequence[Column] = COLUMNS) -> str:
    """Make the staging table, which is empty again at the end of the transaction, and take the writers' lock."""
    typed = ", ".join(f"{column.name} {column.type}" for column in written(columns))
    return f"""
SELECT pg_advisory_xact_lock_shared({WRITING_PREDICTIONS});
CREATE TEMPORARY TABLE IF NOT EXISTS staged_predictions ({typed}) ON COMMIT DELETE ROWS
"""


def upsert_sql(columns: Sequence[Column] = COLUMNS, *, again: bool = False) -> str:
    """Insert staged rows; replace stored ones only where the new row has more readings, or more duplicates.

    again : or as many of both.

    Rows are sorted, so that two writers of the same windows lock rows in the same order.
    """
    inserted = [column for column in columns if column.values is not None or column.insert is not None]
    names = ", ".join(column.name for column in inserted)
    values = ", ".join(column.insert or column.name for column in inserted)
    replaced = ",\n    ".join(
        f"{column.name} = {column.update or f'excluded.{column.name}'}"
        for column in columns
        if column.name not in KEY
    )
    key = ", ".join(KEY)
    return f"""
INSERT INTO predictions AS p ({names})
SELECT DISTINCT ON ({key}) {values}
FROM staged_predictions
ORDER BY {key}, readings_used DESC, duplicates DESC
ON CONFLICT ({key}) DO UPDATE SET
    {replaced}
WHERE (excluded.readings_used, excluded.duplicates) {">=" if again else ">"} (p.readings_used, p.duplicates)
"""


def write_predictions(
    connection: Connection,
    rows: PredictionRows,
    columns: Sequence[Column] = COLUMNS,
    *,
    again: bool = False,
) -> int:
    """Upsert in the caller's transaction; returns how many rows were inserted or replaced.

    A stored row is replaced only by one of more readings (or as many, and more duplicates), so writing the same
    rows again, or older ones, changes nothing. again : one of as many replaces it, too. Raises DataError for rows that
    contradict themselves.
    """
    if not len(rows):
        return 0
    text = copy_text(rows, columns)
    with connection.cursor() as cursor:
        # created in this transaction: it does not exist where the previous one was rolled back
        cursor.execute(staging_sql(columns))
        ensure_days(connection, rows.window_start_us)
        cursor.execute("DELETE FROM staged_predictions")
        cursor.copy_expert(_COPY, io.BytesIO(text), size=1 << 20)
        cursor.execute(upsert_sql(columns, again=again))
        return int(cursor.rowcount)


def copy_text(rows: PredictionRows, columns: Sequence[Column] = COLUMNS) -> memoryview:
    r"""The rows in PostgreSQL's text format for COPY: tabs between values, \N for null, one line a row."""
    rows.check()
    arrays = [_text(column.values(rows)) for column in columns if column.values is not None]
    lines = pc.binary_join_element_wise(*arrays, "\t", null_handling="replace", null_replacement="\\N")
    return _joined_lines(lines)


def _joined_lines(lines: pa.Array) -> memoryview:
    """All lines in one buffer, each with its newline: the data buffer of the array as it is."""
    whole = pc.binary_join_element_wise(lines, "", "\n")
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.combine_chunks()
    if pa.types.is_large_string(whole.type):
        whole = whole.cast(pa.string())
    offsets = np.frombuffer(whole.buffers()[1], np.int32)[whole.offset : whole.offset + len(whole) + 1]
    return memoryview(whole.buffers()[2])[int(offsets[0]) : int(offsets[-1])]


def _text(values: pa.Array) -> pa.Array:
    """An array as COPY reads it. A dictionary's values are written once each."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _text(values.dictionary).take(values.indices)
    if pa.types.is_string(kind):
        return _escaped(values)
    if pa.types.is_timestamp(kind):
        # the array's own zone is UTC; without it Arrow writes no offset
        return pc.binary_join_element_wise(values.cast(pa.timestamp("us")).cast(pa.string()), "+00", "")
    if pa.types.is_list(kind):
        if pa.types.is_string(kind.value_type):
            return _escaped(pa.array([_array_literal(one) for one in values.to_pylist()], pa.string()))
        # not flatten(), which drops the values under nulls: the offsets would no longer fit
        inner = pa.ListArray.from_arrays(values.offsets, values.values.cast(pa.string()))
        literals = pc.binary_join_element_wise("{", pc.binary_join(inner, ","), "}", "")
        return pc.if_else(values.is_valid(), literals, None)
    return values.cast(pa.string())


# Quoted, everything in it taken literally; used in an array literal.
_ARRAY_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})


def _array_literal(values: Sequence[str] | None) -> str | None:
    if values is None:
        return None
    return "{" + ",".join('"' + value.translate(_ARRAY_ESCAPES) + '"' for value in values) + "}"


def _escaped(values: pa.Array) -> pa.Array:
    """Text as COPY reads it: backslash, tab and line ends escaped; NUL, which PostgreSQL has not, as U+FFFD."""
    for character, replacement in (
        ("\\", "\\\\"),
        ("\t", "\\t"),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\0", "\ufffd"),
    ):
        values = pc.replace_substring(values, character, replacement)
    return values


_STORED = f"""
SELECT coalesce(p.readings_used + p.duplicates, -1), coalesce(p.coverage, 0),
       coalesce({AS_US.format("p.last_reading_at")}, 0), coalesce(p.batch_id, -1)
FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS given (device_id, window_us, place)
LEFT JOIN predictions p
    ON p.device_id = given.device_id
   AND p.window_start = timestamptz 'epoch' + given.window_us * interval '1 microsecond'
   -- so that other days are not even planned for
   AND p.window_start BETWEEN %s::timestamptz AND %s::timestamptz
ORDER BY place
"""


class StoredWindows(NamedTuple):
    """n windows as the store has them, one row each; where it has no row: no reading, which is -1.

    readings : int64, duplicates among them; coverage : float32; newest_us : int64, of the newest reading, UTC
    microseconds; batch_id : int64, -1 where no batch of the stream wrote the row
    """

    readings: np.ndarray
    coverage: np.ndarray
    newest_us: np.ndarray
    batch_id: np.ndarray


def stored_windows(
    connection: Connection, device_id: Sequence[str], window_start_us: np.ndarray
) -> StoredWindows:
    """What the store has of these windows, in their order."""
    starts = np.asarray(window_start_us, np.int64).tolist()
    values = (list(device_id), starts, *literals(starts))
    rows = fetch_all(connection, _STORED, values)
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    kinds = (np.int64, np.float32, np.int64, np.int64)
    return StoredWindows(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))
