"""The one table of columns of `predictions`: the staging table, COPY, upsert, REST answers and docs are made from it.

A new column is a migration and an entry of COLUMNS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from activitymodule.errors import DataError


@dataclass(frozen=True)
class PredictionRows:
    """n windows with their predictions, by columns; times are UTC microseconds.

    A row of `probabilities` that is all NaN has no activity, and its `reason` names the cause; every other row must be
    finite and have no reason. NaN elsewhere means unknown.
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
    familiarity: np.ndarray | None = None  # (n,) float32; NaN or None: the model cannot tell
    thresholds: np.ndarray | None = None  # (labels,) float32, of the confidence; None: the version has none

    def __len__(self) -> int:
        return len(self.device_id)

    @cached_property
    def scored(self) -> np.ndarray:
        """Windows that have an activity, bool (n,)."""
        if not self.labels:
            return np.zeros(len(self), bool)
        return np.asarray(~np.isnan(np.asarray(self.probabilities, np.float32)).all(axis=1))

    @cached_property
    def best(self) -> np.ndarray:
        """The column of the most probable label, int (n,); 0 for windows without an activity."""
        if not self.scored.any():
            return np.zeros(len(self), np.int64)
        probabilities = np.asarray(self.probabilities, np.float32)
        known = np.where(np.isnan(probabilities), -1, probabilities)
        return np.where(self.scored, known.argmax(axis=1), 0)

    @cached_property
    def confidence(self) -> np.ndarray:
        """The probability of the most probable label, float32 (n,)."""
        return np.asarray(self.probabilities, np.float32)[np.arange(len(self)), self.best]

    def check(self) -> None:
        """Raise DataError for rows that contradict themselves."""
        n, k = len(self), len(self.labels)
        if np.shape(self.probabilities) != (n, k) or np.shape(self.in_set) != (n, k):
            raise DataError(
                f"predictions of {n} windows and {k} labels need arrays of shape {(n, k)}, not "
                f"{np.shape(self.probabilities)}"
            )
        if not np.isfinite(np.asarray(self.probabilities)[self.scored]).all():
            raise DataError("a probability is not a finite number; the model does not fit these features")
        missing = strings(self.reason).is_null().to_numpy(zero_copy_only=False)
        if not np.array_equal(missing, self.scored):
            raise DataError(
                "a window has either probabilities or a reason for having none, never both or neither"
            )


@dataclass(frozen=True)
class Column:
    """A column of `predictions`.

    type : PostgreSQL's name of it
    meaning : for people who query, in Markdown
    values : Arrow array (n,) of rows; None: the column is not written with the others
    insert : SQL of its value for a new row, where it is not `values`
    update : SQL of its value for a row that is replaced
    example : in REST answers; None: not part of them
    required : never null
    """

    name: str
    type: str
    meaning: str
    values: Callable[[PredictionRows], pa.Array] | None = None
    insert: str | None = None
    update: str | None = None
    example: Any = None
    required: bool = False


def strings(values: pa.Array | pa.ChunkedArray | Sequence[str | None]) -> pa.Array:
    """Text as one string array."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not isinstance(values, pa.Array):
        values = pa.array(values, pa.string())
    return values.cast(pa.string())


def _times(us: np.ndarray) -> pa.Array:
    return pa.array(np.asarray(us, np.int64)).cast(pa.timestamp("us", "UTC"))


def _reals(values: np.ndarray, mask: np.ndarray | None = None) -> pa.Array:
    """float32; NaN is null."""
    values = np.asarray(values, np.float32)
    return pa.array(values, mask=np.isnan(values) if mask is None else mask)


def _repeated(value: Any, type_: pa.DataType, n: int) -> pa.Array:
    if value is None:
        return pa.nulls(n, type_)
    return pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), pa.array([value], type_))


def _activity(rows: PredictionRows) -> pa.Array:
    if not rows.scored.any():
        return pa.nulls(len(rows), pa.string())
    best = pa.array(rows.best.astype(np.int32), mask=~rows.scored)
    return pa.DictionaryArray.from_arrays(best, pa.array(rows.labels, pa.string()))


def _confidence(rows: PredictionRows) -> pa.Array:
    if not rows.scored.any():
        return pa.nulls(len(rows), pa.float32())
    return _reals(rows.confidence, ~rows.scored)


def _decided(rows: PredictionRows) -> pa.Array:
    if rows.thresholds is None or not rows.scored.any():
        return pa.nulls(len(rows), pa.string())
    reached = rows.scored & (rows.confidence >= rows.thresholds[rows.best])
    best = pa.array(rows.best.astype(np.int32), mask=~reached)
    return pa.DictionaryArray.from_arrays(best, pa.array(rows.labels, pa.string()))


def _probabilities(rows: PredictionRows) -> pa.Array:
    n, k = len(rows), len(rows.labels)
    flat = np.where(rows.scored[:, None], np.asarray(rows.probabilities, np.float32), np.float32(0)).ravel()
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * k)
    return pa.ListArray.from_arrays(offsets, pa.array(flat, pa.float32()), mask=pa.array(~rows.scored))


def _conformal_set(rows: PredictionRows) -> pa.Array:
    """Few different sets occur, so each is written once: a dictionary of them."""
    if not rows.scored.any():
        return pa.nulls(len(rows), pa.list_(pa.string()))
    bits = np.packbits(np.asarray(rows.in_set, bool), axis=1)
    packed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(bits.shape[1]), len(rows), [None, pa.py_buffer(bits)]
    )
    encoded = packed.filter(pa.array(rows.scored)).dictionary_encode()
    patterns = [np.unpackbits(np.frombuffer(one, np.uint8)) for one in encoded.dictionary.to_pylist()]
    sets = [[label for label, there in zip(rows.labels, row, strict=False) if there] for row in patterns]
    indices = np.zeros(len(rows), np.int32)
    indices[rows.scored] = encoded.indices.to_numpy()
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, mask=~rows.scored), pa.array(sets, pa.list_(pa.string()))
    )


def _familiarity(rows: PredictionRows) -> pa.Array:
    return pa.nulls(len(rows), pa.float32()) if rows.familiarity is None else _reals(rows.familiarity)


_KEEP_SMOOTHED = "CASE WHEN excluded.activity IS NOT NULL THEN p.{} END"

COLUMNS = (
    Column(
        "device_id", "text", "the watch", lambda r: strings(r.device_id), example="watch-00001", required=True
    ),
    Column(
        "window_start",
        "timestamptz",
        "begin of the window",
        lambda r: _times(r.window_start_us),
        example="2026-11-20T10:00:00Z",
        required=True,
    ),
    Column(
        "window_end",
        "timestamptz",
        "end of the window",
        lambda r: _times(np.asarray(r.window_start_us, np.int64) + r.window_seconds * 1_000_000),
        example="2026-11-20T10:00:10Z",
        required=True,
    ),
    Column(
        "activity",
        "text",
        "most probable activity of this window alone; null where `reason` says why",
        _activity,
        example="walking",
    ),
    Column("confidence", "real", "probability of `activity`", _confidence, example=0.93),
    Column(
        "smoothed_activity",
        "text",
        "most probable activity given the watch's previous windows too (a forward filter over their stored "
        "probabilities)",
        update=_KEEP_SMOOTHED.format("smoothed_activity"),
    ),
    Column(
        "smoothed_confidence",
        "real",
        "probability of `smoothed_activity`",
        update=_KEEP_SMOOTHED.format("smoothed_confidence"),
    ),
    Column(
        "probabilities",
        "real[]",
        "probability of each label, in the order of `model_versions.labels`",
        _probabilities,
        example={"sitting": 0.07, "walking": 0.93},
    ),
    Column(
        "conformal_set",
        "text[]",
        "labels of the conformal prediction set, which contains the true label at the configured rate",
        _conformal_set,
        example=["walking"],
    ),
    Column("kcal_per_min", "real", "energy expenditure", lambda r: _reals(r.kcal_per_min), example=4.2),
    Column(
        "coverage",
        "real",
        "share of the window's slots that have a reading, 0 to 1",
        lambda r: _reals(r.coverage),
        example=1.0,
        required=True,
    ),
    Column(
        "readings_used",
        "integer",
        "readings in the window, each stamp counted once",
        lambda r: pa.array(np.asarray(r.readings_used, np.int32)),
        example=100,
        required=True,
    ),
    Column(
        "duplicates",
        "integer",
        "readings whose stamp was there already",
        lambda r: pa.array(np.asarray(r.duplicates, np.int32)),
        example=0,
        required=True,
    ),
    Column("reason", "text", "why there is no activity", lambda r: strings(r.reason), example="low coverage"),
    Column(
        "model_version",
        "text",
        "version of the activity model",
        lambda r: _repeated(r.model_version, pa.string(), len(r)),
    ),
    Column(
        "energy_version",
        "text",
        "version of the energy model",
        lambda r: _repeated(r.energy_version, pa.string(), len(r)),
    ),
    Column(
        "last_reading_at",
        "timestamptz",
        "stamp of the newest reading, by the watch's clock",
        lambda r: _times(r.last_reading_us),
    ),
    Column(
        "received_at",
        "timestamptz",
        "when the newest reading reached Kafka",
        lambda r: _times(r.received_us),
    ),
    Column(
        "processed_at",
        "timestamptz",
        "when the row was last written",
        insert="clock_timestamp()",
        update="excluded.processed_at",
        required=True,
    ),
    Column(
        "batch_id",
        "bigint",
        "micro-batch that wrote the row; -1: a backfill",
        lambda r: _repeated(r.batch_id, pa.int64(), len(r)),
    ),
    Column(
        "familiarity",
        "real",
        "share of held-out people's windows that lie at least as far from the training of `model_version`, 0 to 1; "
        "below 0.05 the window is called unfamiliar; null where the version cannot tell",
        _familiarity,
        example=0.62,
    ),
    Column(
        "decided",
        "text",
        "`activity` where `confidence` reaches the version's threshold for it, so that it is precise enough "
        "(`models.target_precision`); null elsewhere, and where the version has no thresholds",
        _decided,
        example="walking",
    ),
)
KEY = ("device_id", "window_start")


def written(columns: Sequence[Column] = COLUMNS) -> list[Column]:
    """Columns whose values come with the rows."""
    return [column for column in columns if column.values is not None]


def answers(rows: PredictionRows, columns: Sequence[Column] = COLUMNS) -> list[dict[str, object]]:
    """The rows as REST answers: one dict a window, by column; probabilities by label."""
    shown = [(column, column.values) for column in columns if column.example is not None and column.values]
    by_column = {column.name: values(rows).to_pylist() for column, values in shown}
    by_column["probabilities"] = [
        None if one is None else dict(zip(rows.labels, one, strict=True))
        for one in by_column["probabilities"]
    ]
    return [dict(zip(by_column, values, strict=True)) for values in zip(*by_column.values(), strict=True)]


def markdown(columns: Sequence[Column] = COLUMNS) -> str:
    """The table of columns as docs/sql.md holds it."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    lines += [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in columns]
    return "\n".join(lines) + "\n"
