"""Where windows begin and which panes they hold: the one definition, for the stream, batch jobs and requests.

A pane is the readings of one device that one task saw for one slide of time. A window starts at a multiple of the
slide since the epoch (or since an origin) and holds the panes of length / slide slides. `group_panes` is the
definition in numpy. Spark groups panes in its state; its specification is beside it (`spark_window`,
SPARK_AGGREGATES, SPARK_WINDOWS), and a test compares the two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.settings import Windows

_TIME = pa.timestamp("us", tz="UTC")
_NEVER = np.iinfo(np.int64).min

PANES_SCHEMA = pa.schema(
    [
        pa.field("device_id", pa.string()),
        pa.field("stamp", _TIME),  # of the newest reading
        pa.field("packed", pa.binary()),  # packing.RECORDs, sorted by stamp
        pa.field("n", pa.int32()),  # readings, duplicates among them
        pa.field("kafka_at", _TIME),  # of the newest message; null where there was none
    ]
)
SPARK_PANES = "device_id string, stamp timestamp, packed binary, n int, kafka_at timestamp"
"""PANES_SCHEMA as Spark's DDL."""

WINDOWS_SCHEMA = pa.schema(
    [
        pa.field("device_id", pa.string()),
        pa.field("window_us", pa.int64()),  # start, UTC microseconds
        pa.field(
            "panes", pa.list_(pa.binary())
        ),  # in any order, some of them twice: assembling sorts that out
        pa.field("kafka_at", _TIME),  # of the newest message
        pa.field("n", pa.int64()),  # readings, duplicates among them
    ]
)


class Cut(NamedTuple):
    """Where panes begin among sorted readings.

    first : int64 ndarray of shape (n_panes,), the first reading of each; start_us : int64 ndarray of shape
    (n_panes,), the start of its slide.
    """

    first: np.ndarray
    start_us: np.ndarray


def start_of(stamp_us: np.ndarray, slide_us: int, origin_us: np.ndarray | int = 0) -> np.ndarray:
    """The start of the slide that each stamp lies in: a multiple of the slide since the origin; shape as given."""
    return (stamp_us - origin_us) // slide_us * slide_us + origin_us


def cut(key: np.ndarray, stamp_us: np.ndarray, slide_us: int, origin_us: np.ndarray | int = 0) -> Cut:
    """Cut readings into panes: at every change of key, and at every slide since the origin.

    key : int ndarray of shape (n,), the device or run of each reading; stamp_us : int64 ndarray of shape (n,),
    UTC microseconds; both in the order of key and time. origin_us : 0 (the epoch), or one a reading.
    """
    start = start_of(stamp_us, slide_us, origin_us)
    new = np.ones(len(start), bool)
    new[1:] = (key[1:] != key[:-1]) | (start[1:] != start[:-1])
    first = np.flatnonzero(new)
    return Cut(first, start[first])


def group_panes(panes: pa.RecordBatch, windows: Windows) -> pa.RecordBatch:
    """The windows of panes: every window that holds one of them, in the order of device and time.

    panes : PANES_SCHEMA, in any order. Returns WINDOWS_SCHEMA.
    """
    n = panes.num_rows
    if n == 0:
        return pa.RecordBatch.from_pylist([], schema=WINDOWS_SCHEMA)
    slide_us = windows.slide_seconds * 1_000_000
    overlap = windows.length_seconds // windows.slide_seconds
    code, names = ordered_codes(panes.column("device_id"))
    newest = start_of(panes.column("stamp").cast(pa.int64()).to_numpy(), slide_us)
    device, pane = np.repeat(code, overlap), np.repeat(np.arange(n), overlap)
    start = (newest[:, None] - np.arange(overlap) * slide_us).ravel()
    order = np.lexsort((start, device))
    device, pane, start = device[order], pane[order], start[order]
    new = np.ones(len(pane), bool)
    new[1:] = (device[1:] != device[:-1]) | (start[1:] != start[:-1])
    first = np.flatnonzero(new)
    offsets = pa.array(np.append(first, len(pane)).astype(np.int32))
    arrived = panes.column("kafka_at").cast(pa.int64())
    newest_arrival = np.maximum.reduceat(pc.fill_null(arrived, _NEVER).to_numpy()[pane], first)
    columns = [
        names.take(pa.array(device[first])),
        pa.array(start[first]),
        pa.ListArray.from_arrays(offsets, panes.column("packed").take(pa.array(pane))),
        pa.array(newest_arrival, mask=newest_arrival == _NEVER).cast(_TIME),
        pa.array(np.add.reduceat(panes.column("n").to_numpy().astype(np.int64)[pane], first)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=WINDOWS_SCHEMA)


def ordered_codes(column: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, pa.StringArray]:
    """Text as codes that rise with it, so that an order by code is the same in any batch; null is -1.

    Returns int64 ndarray of shape (n,), and the distinct texts in order.
    """
    text = pc.cast(column, pa.string())
    if isinstance(text, pa.ChunkedArray):
        text = pa.concat_arrays(text.chunks) if text.num_chunks else pa.array([], pa.string())
    encoded = text.dictionary_encode()
    rising = pc.array_sort_indices(encoded.dictionary)
    rank = np.full(len(rising) + 1, -1, np.int64)
    rank[rising.to_numpy()] = np.arange(len(rising))
    codes = rank[pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)]
    return codes, encoded.dictionary.take(rising)


def spark_window(windows: Windows) -> str:
    """Spark SQL: the column `window` to group panes by, beside device_id."""
    return f"window(stamp, '{windows.length_seconds} seconds', '{windows.slide_seconds} seconds') AS window"


SPARK_AGGREGATES = ("collect_list(packed) AS panes", "max(kafka_at) AS kafka_at", "sum(n) AS n")
"""Spark SQL: what is kept of the panes of a window."""

SPARK_WINDOWS = ("device_id", "unix_micros(window.start) AS window_us", "panes", "kafka_at", "n")
"""Spark SQL: WINDOWS_SCHEMA, of the groups."""
