"""Predictions into the store: COPY into a temporary table, then one upsert that never makes a row worse."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.errors import DataError
from activitymodule.store.connection import Connection

WRITING_LOCK = 7_204_110_002  # any number, as long as it is this one everywhere

_STAGE = f"""
SELECT pg_advisory_xact_lock_shared({WRITING_LOCK});
CREATE TEMPORARY TABLE IF NOT EXISTS staged_predictions (
    device_id text, window_start timestamptz, window_end timestamptz, activity text, confidence real,
    probabilities real[], conformal_set text[], kcal_per_min real, coverage real, readings_used integer,
    duplicates integer, reason text, model_version text, energy_version text, last_reading_at timestamptz,
    received_at timestamptz, batch_id bigint
) ON COMMIT DELETE ROWS
"""

_COPY = "COPY staged_predictions FROM STDIN"

# Sorted, so that two writers of the same windows take their row locks in the same order.
_UPSERT = """
INSERT INTO predictions AS p (
    device_id, window_start, window_end, activity, confidence, probabilities, conformal_set, kcal_per_min,
    coverage, readings_used, duplicates, reason, model_version, energy_version, last_reading_at, received_at,
    batch_id, processed_at
)
SELECT DISTINCT ON (device_id, window_start) *, clock_timestamp()
FROM staged_predictions
ORDER BY device_id, window_start, readings_used DESC, duplicates DESC
ON CONFLICT (device_id, window_start) DO UPDATE SET
    window_end = excluded.window_end, activity = excluded.activity, confidence = excluded.confidence,
    smoothed_activity = CASE WHEN excluded.activity IS NOT NULL THEN p.smoothed_activity END,
    smoothed_confidence = CASE WHEN excluded.activity IS NOT NULL THEN p.smoothed_confidence END,
    probabilities = excluded.probabilities, conformal_set = excluded.conformal_set,
    kcal_per_min = excluded.kcal_per_min, coverage = excluded.coverage,
    readings_used = excluded.readings_used, duplicates = excluded.duplicates, reason = excluded.reason,
    model_version = excluded.model_version, energy_version = excluded.energy_version,
    last_reading_at = excluded.last_reading_at, received_at = excluded.received_at,
    batch_id = excluded.batch_id, processed_at = excluded.processed_at
WHERE (excluded.readings_used, excluded.duplicates) > (p.readings_used, p.duplicates)
"""

# Quoted, everything in it taken literally; used within an array literal.
_ARRAY_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})


@dataclass(frozen=True)
class PredictionRows:
    """n windows with what the models say of them, by columns; times are UTC microseconds.

    A row of `probabilities` that is all NaN has no activity, and then its `reason` says why; every other row
    must be finite and have no reason. NaN elsewhere means unknown.
    """

    device_id: pa.Array  # (n,) string
    window_start_us: np.ndarray  # (n,) int64
    window_seconds: int
    labels: tuple[str, ...]  # of the columns of the next two
    probabilities: np.ndarray  # (n, labels) float32
    in_set: np.ndarray  # (n, labels) bool: the conformal set
    kcal_per_min: np.ndarray  # (n,) float32
    coverage: np.ndarray  # (n,) float32
    readings_used: np.ndarray  # (n,) int32
    duplicates: np.ndarray  # (n,) int32
    reason: pa.Array | Sequence[str | None]  # (n,) string
    model_version: str | None
    energy_version: str | None
    last_reading_us: np.ndarray  # (n,) int64
    received_us: np.ndarray  # (n,) int64: when the newest reading reached Kafka
    batch_id: int | None = None

    def __len__(self) -> int:
        return len(self.device_id)


def write_predictions(connection: Connection, rows: PredictionRows) -> int:
    """Upsert within the caller's transaction; returns how many rows were inserted or replaced.

    A stored row is replaced only by one of more readings (or as many, and more duplicates seen), so writing
    the same rows again, or older ones, changes nothing. Raises DataError for rows that contradict themselves.
    """
    if not len(rows):
        return 0
    text = copy_text(rows)
    with connection.cursor() as cursor:
        # within the transaction, so: it is gone again where the one before was rolled back
        cursor.execute(_STAGE)
        cursor.execute("DELETE FROM staged_predictions")
        cursor.copy_expert(_COPY, io.BytesIO(text), size=1 << 20)
        cursor.execute(_UPSERT)
        return int(cursor.rowcount)


def copy_text(rows: PredictionRows) -> memoryview:
    """The rows in PostgreSQL's text format for COPY: tabs between, \\N for null, a line a row."""
    n, k = len(rows), len(rows.labels)
    probabilities = np.ascontiguousarray(rows.probabilities, np.float32)
    in_set = np.asarray(rows.in_set, bool)
    if probabilities.shape != (n, k) or in_set.shape != (n, k):
        raise DataError(f"predictions of {n} windows and {k} labels came as an array {probabilities.shape}")
    empty = np.asarray(np.isnan(probabilities).all(axis=1)) if k else np.ones(n, bool)
    if not np.isfinite(probabilities[~empty]).all():
        raise DataError("a probability is not a finite number; the model does not fit these features")
    reason = _strings(rows.reason)
    if not np.array_equal(_numpy(reason.is_null()), ~empty):
        raise DataError(
            "a window has either probabilities or a reason for having none, never both or neither"
        )
    scored = pa.array(~empty)
    if k and not empty.all():
        best = np.where(empty, 0, np.where(np.isnan(probabilities), -1, probabilities).argmax(axis=1))
        confidence = probabilities[np.arange(n), best]
        label_text = _escaped(pa.array(rows.labels, pa.string()))
        activity = pc.if_else(scored, label_text.take(pa.array(best)), None)
        joined = pc.binary_join(
            pa.ListArray.from_arrays(
                pa.array(np.arange(n + 1, dtype=np.int32) * k),
                pa.array(np.where(empty[:, None], np.float32(0), probabilities).ravel()).cast(pa.string()),
            ),
            ",",
        )
        vector = pc.if_else(scored, pc.binary_join_element_wise("{", joined, "}", ""), None)
        sets = pc.if_else(scored, _set_literals(in_set, rows.labels), None)
    else:
        activity = vector = sets = pa.nulls(n, pa.string())
        confidence = np.full(n, np.nan, np.float32)
    start = np.asarray(rows.window_start_us, np.int64)
    columns = [
        _escaped(_strings(rows.device_id)),
        _times(start),
        _times(start + rows.window_seconds * 1_000_000),
        activity,
        _numbers(confidence),
        vector,
        sets,
        _numbers(rows.kcal_per_min),
        _numbers(rows.coverage),
        pa.array(rows.readings_used).cast(pa.string()),
        pa.array(rows.duplicates).cast(pa.string()),
        _escaped(reason),
        _same(rows.model_version, n),
        _same(rows.energy_version, n),
        _times(rows.last_reading_us),
        _times(rows.received_us),
        _same(None if rows.batch_id is None else str(rows.batch_id), n),
    ]
    lines = pc.binary_join_element_wise(*columns, "\t", null_handling="replace", null_replacement="\\N")
    return _joined_lines(lines)


def _joined_lines(lines: pa.Array) -> memoryview:
    """All lines in one buffer, each with its newline: the data buffer of the array as it stands."""
    whole = pc.binary_join_element_wise(lines, "", "\n")
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.combine_chunks()
    if pa.types.is_large_string(whole.type):
        whole = whole.cast(pa.string())
    offsets = np.frombuffer(whole.buffers()[1], np.int32)[whole.offset : whole.offset + len(whole) + 1]
    return memoryview(whole.buffers()[2])[int(offsets[0]) : int(offsets[-1])]


def _strings(values: pa.Array | pa.ChunkedArray | Sequence[str | None]) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not isinstance(values, pa.Array):
        values = pa.array(values, pa.string())
    return values.cast(pa.string())


def _numpy(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False)


def _escaped(values: pa.Array) -> pa.Array:
    """Text as COPY reads it: backslash, tab, line ends escaped; NUL, which PostgreSQL has not, as U+FFFD."""
    for character, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\ufffd")):
        values = pc.replace_substring(values, character, written)
    return values


def _numbers(values: np.ndarray) -> pa.Array:
    """float32 as text that reads back the same to the last bit; NaN as null."""
    values = np.asarray(values, np.float32)
    return pa.array(values, mask=np.isnan(values)).cast(pa.string())


def _times(us: np.ndarray) -> pa.Array:
    stamps = pa.array(np.asarray(us, np.int64)).cast(pa.timestamp("us")).cast(pa.string())
    return pc.binary_join_element_wise(stamps, "+00", "")


def _same(value: str | None, n: int) -> pa.Array:
    if value is None:
        return pa.nulls(n, pa.string())
    return pa.repeat(_escaped(pa.array([value]))[0], n)


def _set_literals(in_set: np.ndarray, labels: tuple[str, ...]) -> pa.Array:
    """Array literals of the conformal sets. There are few different ones, so each is written once."""
    patterns, which = np.unique(in_set, axis=0, return_inverse=True)
    quoted = ['"' + label.translate(_ARRAY_ESCAPES) + '"' for label in labels]
    literals = [
        "{" + ",".join(q for q, there in zip(quoted, row, strict=True) if there) + "}" for row in patterns
    ]
    return _escaped(pa.array(literals, pa.string())).take(pa.array(which.ravel()))


_READINGS_STORED = """
SELECT coalesce(p.readings_used, -1), coalesce(p.duplicates, -1)
FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS asked (device_id, window_us, place)
LEFT JOIN predictions p
    ON p.device_id = asked.device_id
   AND p.window_start = timestamptz 'epoch' + asked.window_us * interval '1 microsecond'
ORDER BY place
"""


def readings_stored(
    connection: Connection, device_id: Sequence[str], window_start_us: np.ndarray
) -> np.ndarray:
    """What the store has of n windows: (n, 2) int64, readings_used and duplicates, -1 where it has no row."""
    with connection.cursor() as cursor:
        cursor.execute(_READINGS_STORED, (list(device_id), np.asarray(window_start_us, np.int64).tolist()))
        return np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
