"""Packed readings: the few channels that windows need, as fixed-size binary records.

Panes hold records one after another. Spark's state keeps these bytes, not structs, which is what makes the stream
fast. Batch jobs (training sets, backfill) pack by the same functions, so that both paths see the same bits.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activitymodule.errors import DataError
from activitymodule.telemetry.gravity import gravity_of
from activitymodule.windows.frame import NO_MODELS, KnownModels, turn_readings

CHANNELS: tuple[str, ...] = (
    "acceleration_x",  # g, total: user acceleration plus gravity from pitch and roll
    "acceleration_y",
    "acceleration_z",
    "rotation_rate_x",  # rad/s
    "rotation_rate_y",
    "rotation_rate_z",
    "heart_rate",  # bpm
    "steps",  # since the last reading
    "speed",  # m/s
)

RECORD = np.dtype([("stamp_us", "<i8"), ("values", "<f4", (len(CHANNELS),))])
"""One packed reading: UTC microseconds, then CHANNELS as float32 with NaN for what is missing."""

# Channels that a reading has as they are; the acceleration comes from five fields.
_PLAIN = CHANNELS[3:]
_LARGEST = np.iinfo(np.int32).max // RECORD.itemsize


def total_acceleration(
    pitch: np.ndarray, roll: np.ndarray, ux: np.ndarray, uy: np.ndarray, uz: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Total acceleration in g: user acceleration plus gravity from the attitude (telemetry.gravity).

    pitch, roll : ndarray of shape (n,), rad; ux, uy, uz : ndarray of shape (n,), user acceleration in g.
    Returns three float32 arrays of shape (n,); NaN wherever an operand is NaN.
    """
    # Trigonometry in double precision, rounded once: the vector and the scalar code of a float32 sine
    # may differ in the last bit, and then a reading's bits would depend on its place in the array.
    pitch, roll = np.asarray(pitch, np.float64), np.asarray(roll, np.float64)
    gravity = gravity_of(pitch, roll)
    x, y, z = (np.asarray(user, np.float64) + gravity[:, axis] for axis, user in enumerate((ux, uy, uz)))
    return x.astype(np.float32), y.astype(np.float32), z.astype(np.float32)


def stamps_us(stamps: pa.ChunkedArray) -> np.ndarray:
    """UTC microseconds, int64 ndarray of shape (n,), of a column of timestamps."""
    if stamps.null_count:
        raise DataError("a reading has no stamp; clean the readings with `activity prepare` first")
    return np.asarray(stamps.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy())


def to_records(readings: pa.Table, known: KnownModels = NO_MODELS) -> np.ndarray:
    """Canonical readings as packed records in the canonical frame, in the same order.

    readings : table with `stamp` and any of the fields of telemetry.schema; an absent column is all missing.
    known : the models of watches by the store, beside the readings' own `device_model`.
    Returns ndarray of RECORD of shape (n_readings,). Raises DataError where a stamp is missing.
    """
    present = set(readings.column_names)

    def column(name: str) -> np.ndarray:
        if name not in present:
            return np.full(len(readings), np.nan, np.float32)
        return np.asarray(readings.column(name).cast(pa.float32()).to_numpy())

    records = np.empty(len(readings), RECORD)
    records["stamp_us"] = stamps_us(readings.column("stamp"))
    values = records["values"]
    values[:, 0], values[:, 1], values[:, 2] = total_acceleration(
        column("pitch"), column("roll"), *(column(f"user_acceleration_{axis}") for axis in "xyz")
    )
    for index, name in enumerate(_PLAIN, start=3):
        values[:, index] = column(name)
    turn_readings(values, readings, known)
    return records


def binary_of_records(records: np.ndarray, starts: np.ndarray) -> pa.BinaryArray:
    """Runs of records as binary values that share the records' memory.

    records : contiguous ndarray of RECORD of shape (n,); starts : int ndarray of shape (n_panes,), the first
    record of each run, increasing from 0. Returns one value a run. Raises DataError beyond 2 GiB.
    """
    if len(records) > _LARGEST:
        raise DataError(f"{len(records)} readings at once are too many to pack; pass at most {_LARGEST}")
    offsets = np.append(starts, len(records)).astype(np.int32) * np.int32(RECORD.itemsize)
    values = pa.py_buffer(records.view(np.uint8)) if len(records) else pa.py_buffer(b"")
    return pa.BinaryArray.from_buffers(pa.binary(), len(starts), [None, pa.py_buffer(offsets), values])
