"""Packed readings: the few channels that windows need, as fixed-size binary records.

A pane is the readings of one device that one task saw for one slide of time, packed one record after
another. Spark's state holds these bytes, not structs, which is what makes the stream fast. Batch jobs
(training sets, backfill) pack by the same functions, so that both paths see the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule import settings
from activitymodule.errors import DataError

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
    """Total acceleration in g: user acceleration plus gravity from the attitude.

    Core Motion's frame (Apple, CMDeviceMotion): gravity = (cos pitch sin roll, -sin pitch,
    -cos pitch cos roll), so that a watch at rest, face up, measures z = -1.

    pitch, roll : ndarray of shape (n,), rad; ux, uy, uz : ndarray of shape (n,), user acceleration in g.
    Returns three float32 arrays of shape (n,); NaN wherever an operand is NaN.
    """
    # Trigonometry in double precision, rounded once: the vector and the scalar code of a float32 sine
    # may differ in the last bit, and then a reading's bits would depend on its place in the array.
    pitch, roll = np.asarray(pitch, np.float64), np.asarray(roll, np.float64)
    cos_pitch = np.cos(pitch)
    x = np.asarray(ux, np.float64) + cos_pitch * np.sin(roll)
    y = np.asarray(uy, np.float64) - np.sin(pitch)
    z = np.asarray(uz, np.float64) - cos_pitch * np.cos(roll)
    return x.astype(np.float32), y.astype(np.float32), z.astype(np.float32)


def stamps_us(stamps: pa.ChunkedArray) -> np.ndarray:
    """UTC microseconds, int64 ndarray of shape (n,), of a column of timestamps."""
    if stamps.null_count:
        raise DataError("a reading has no stamp; clean the readings with `activity prepare` first")
    return stamps.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()


def to_records(readings: pa.Table) -> np.ndarray:
    """Canonical readings as packed records, in the order they stand in.

    readings : table with `stamp` and any of the fields of telemetry.schema; an absent column is all missing.
    Returns ndarray of RECORD of shape (n_readings,). Raises DataError where a stamp is missing.
    """
    present = set(readings.column_names)

    def column(name: str) -> np.ndarray:
        if name not in present:
            return np.full(len(readings), np.nan, np.float32)
        return readings.column(name).cast(pa.float32()).to_numpy()

    records = np.empty(len(readings), RECORD)
    records["stamp_us"] = stamps_us(readings.column("stamp"))
    values = records["values"]
    values[:, 0], values[:, 1], values[:, 2] = total_acceleration(
        column("pitch"), column("roll"), *(column(f"user_acceleration_{axis}") for axis in "xyz")
    )
    for index, name in enumerate(_PLAIN, start=3):
        values[:, index] = column(name)
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


class Panes(NamedTuple):
    """Panes of a batch, in the order of device and time.

    device_id : string array of shape (n_panes,); start_us : int64 ndarray of shape (n_panes,), UTC
    microseconds of the slide the pane belongs to; packed : binary array of shape (n_panes,), RECORDs.
    """

    device_id: pa.StringArray
    start_us: np.ndarray
    packed: pa.BinaryArray


class PanedWindows(NamedTuple):
    """Windows of a batch, in the order of device and time: what `assembling.assemble` takes.

    device_id : string array of shape (n_windows,); window_start_us : int64 ndarray of shape (n_windows,);
    panes : list array of binary of shape (n_windows,), the packed panes of each window.
    """

    device_id: pa.StringArray
    window_start_us: np.ndarray
    panes: pa.ListArray


def records_to_panes(readings: pa.Table, slide_seconds: int) -> Panes:
    """Readings cut into panes at multiples of the slide since the epoch; readings in any order."""
    records = to_records(readings)
    slide_us = slide_seconds * 1_000_000
    # codes must rise with the names: the order of the panes is then the same for any order of the readings
    names = pc.cast(readings.column("device_id"), pa.string()).combine_chunks()
    names = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    if names.null_count:
        raise DataError("a reading has no device_id; clean the readings with `activity prepare` first")
    encoded = names.dictionary_encode()
    dictionary = encoded.dictionary
    rank = np.empty(len(dictionary), np.int64)
    rank[pc.array_sort_indices(dictionary).to_numpy()] = np.arange(len(dictionary))
    device = rank[encoded.indices.to_numpy()] if len(dictionary) else np.empty(0, np.int64)
    stamps = records["stamp_us"]
    slide_number = stamps // slide_us
    if not _rises(device, stamps):
        order = np.lexsort((stamps, device))
        records, device, slide_number = records[order], device[order], slide_number[order]
    new = np.ones(len(records), bool)
    new[1:] = (device[1:] != device[:-1]) | (slide_number[1:] != slide_number[:-1])
    starts = np.flatnonzero(new)
    sorted_names = dictionary.take(pc.array_sort_indices(dictionary))
    return Panes(
        sorted_names.take(pa.array(device[starts], pa.int64())),
        slide_number[starts] * slide_us,
        binary_of_records(records, starts),
    )


def windows_of(readings: pa.Table, windows: settings.Windows) -> PanedWindows:
    """All windows that hold a reading, aligned as Spark aligns them: starts are multiples of the slide.

    readings : canonical readings in any order. A pane belongs to length/slide windows; those at the edge of
    a recording are partly empty, as in the stream.
    """
    panes = records_to_panes(readings, windows.slide_seconds)
    overlap = windows.length_seconds // windows.slide_seconds
    if overlap == 1:
        offsets = np.arange(len(panes.packed) + 1, dtype=np.int32)
        return PanedWindows(
            panes.device_id,
            panes.start_us,
            pa.ListArray.from_arrays(pa.array(offsets), panes.packed),
        )
    slide_us = windows.slide_seconds * 1_000_000
    # device numbers in the order of the panes, which is the order of the names
    names = panes.device_id.dictionary_encode()
    device = names.indices.to_numpy().astype(np.int64)
    pane = np.repeat(np.arange(len(device)), overlap)
    start_us = np.repeat(panes.start_us, overlap) - np.tile(np.arange(overlap), len(device)) * slide_us
    order = np.lexsort((pane, start_us, device[pane]))
    pane, start_us = pane[order], start_us[order]
    new = np.ones(len(pane), bool)
    new[1:] = (device[pane[1:]] != device[pane[:-1]]) | (start_us[1:] != start_us[:-1])
    first = np.flatnonzero(new)
    return PanedWindows(
        panes.device_id.take(pa.array(pane[first], pa.int64())),
        start_us[first],
        pa.ListArray.from_arrays(
            pa.array(np.append(first, len(pane)).astype(np.int32)),
            panes.packed.take(pa.array(pane, pa.int64())),
        ),
    )


def _rises(device: np.ndarray, stamps: np.ndarray) -> bool:
    """Whether readings already stand in the order of device and time."""
    same = device[1:] == device[:-1]
    return bool(np.all((device[1:] > device[:-1]) | (same & (stamps[1:] >= stamps[:-1]))))
