"""Messages, or readings, to panes: what the stream does before its state, one Arrow batch at a time.

Only the fields that packing needs are converted; a pane holds the readings of one device and one slide of
time, sorted, duplicates included (assembling counts them).
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from activitymodule.errors import DataError
from activitymodule.settings import Telemetry, Windows
from activitymodule.telemetry.decoding import decode_rows
from activitymodule.telemetry.schema import FIELDS
from activitymodule.windows import packing
from activitymodule.windows.frame import NO_MODELS, KnownModels, models_of, said_models, turn
from activitymodule.windows.grouping import PANES_SCHEMA, cut, group_panes, ordered_codes

_ACCELERATION = tuple(f"user_acceleration_{axis}" for axis in "xyz")
_NEEDED = {"device_id", "stamp", "device_model", "pitch", "roll", *_ACCELERATION, *packing.CHANNELS}
PANE_FIELDS = tuple(f for f in FIELDS if f.name in _NEEDED)
"""The fields of a message that end in a pane; only these are checked by the stream."""


_LOG_APPEND_TIME = 1  # Kafka's timestampType: the broker's clock


def arrival_us(kafka_us: np.ndarray, timestamp_type: np.ndarray) -> np.ndarray:
    """The time of arrival that the stamps of each message are compared with: int64 ndarray of shape (n_messages,).

    It is the broker's time of the message, so that a replay or a backfill accepts what the stream did; the current
    time where the topic has the producer's time (CreateTime), which may be wrong.
    """
    return np.where(timestamp_type == _LOG_APPEND_TIME, kafka_us, time.time_ns() // 1000)


def decode_panes(
    values: pa.BinaryArray | pa.ChunkedArray,
    kafka_us: np.ndarray,
    *,
    now_us: int | np.ndarray,
    limits: Telemetry,
    slide_seconds: int,
    newline_terminated: bool = False,
    known: KnownModels = NO_MODELS,
    said: dict[str, str] | None = None,
) -> tuple[pa.RecordBatch, pa.Table]:
    """Decode a batch of messages into panes in the canonical frame, and dead letters.

    values : binary array of shape (n_messages,); kafka_us : int64 ndarray of shape (n_messages,), the
    messages' Kafka timestamps in UTC microseconds; known : the models of watches by the store; said : gets those that
    messages name, by device. Returns panes (grouping.PANES_SCHEMA) and dead letters (telemetry.decoding.DEAD_SCHEMA).
    Ledger: items of messages = readings in panes + dead items.
    """
    rows = decode_rows(
        values, fields=PANE_FIELDS, now_us=now_us, limits=limits, newline_terminated=newline_terminated
    )
    n = len(rows.stamp_us)
    if n == 0:
        return pa.RecordBatch.from_pylist([], schema=PANES_SCHEMA), rows.dead
    order = _order(rows.device_code, rows.stamp_us)
    device, stamp_us, floats = rows.device_code, rows.stamp_us, rows.floats
    arrived_us = np.asarray(kafka_us, np.int64)[rows.message]
    if order is not None:
        device, stamp_us, arrived_us = device[order], stamp_us[order], arrived_us[order]
        floats = {name: column[order] for name, column in floats.items()}

    records = np.empty(n, packing.RECORD)
    records["stamp_us"] = stamp_us
    acceleration = packing.total_acceleration(
        floats["pitch"], floats["roll"], *(floats[name] for name in _ACCELERATION)
    )
    for index, name in enumerate(packing.CHANNELS):
        records["values"][:, index] = acceleration[index] if index < 3 else floats[name]
    models = rows.strings["device_model"]
    named = None
    if models.null_count < n:
        named = (
            models.dictionary_encode() if order is None else models.dictionary_encode().take(pa.array(order))
        )
        if said is not None:
            said |= said_models(rows.devices, device, named)
    turn(records["values"], models_of(rows.devices, device, named, known))

    first = cut(device, stamp_us, slide_seconds * 1_000_000).first
    arrived = pa.array(np.maximum.reduceat(arrived_us, first))
    return _panes(rows.devices, device, records, first, arrived), rows.dead


def panes_of_readings(
    readings: pa.Table, slide_seconds: int, known: KnownModels = NO_MODELS
) -> pa.RecordBatch:
    """Canonical readings, in any order, as panes (grouping.PANES_SCHEMA, kafka_at null).

    Raises DataError where a reading has no device or no stamp.
    """
    records = packing.to_records(readings, known)
    device, names = ordered_codes(readings.column("device_id"))
    if len(device) and device.min() < 0:
        raise DataError("a reading has no device_id; clean the readings with `activity prepare` first")
    order = _order(device, records["stamp_us"]) if len(records) else None
    if order is not None:
        records, device = records[order], device[order]
    first = cut(device, records["stamp_us"], slide_seconds * 1_000_000).first
    return _panes(names, device, records, first, pa.nulls(len(first), pa.int64()))


class PanedWindows(NamedTuple):
    """Windows in the order of device and time: what `assembling.assemble` takes.

    device_id : string array of shape (n_windows,); window_start_us : int64 ndarray of shape (n_windows,), UTC
    microseconds; panes : list array of binary of shape (n_windows,), the packed panes of each window.
    """

    device_id: pa.StringArray
    window_start_us: np.ndarray
    panes: pa.ListArray


def windows_of(readings: pa.Table, windows: Windows) -> PanedWindows:
    """All windows that hold one of these canonical readings, in any order, as the stream groups them.

    A pane belongs to length / slide windows; those at the edge of a recording are partly empty.
    """
    grouped = group_panes(panes_of_readings(readings, windows.slide_seconds), windows)
    return PanedWindows(
        grouped.column("device_id"), grouped.column("window_us").to_numpy(), grouped.column("panes")
    )


def _panes(
    names: pa.StringArray, device: np.ndarray, records: np.ndarray, first: np.ndarray, arrived_us: pa.Array
) -> pa.RecordBatch:
    """Runs of sorted records, each beginning at `first`, as PANES_SCHEMA."""
    ends = np.append(first[1:], len(records)) if len(first) else first
    columns = [
        names.take(pa.array(device[first])),
        pa.array(records["stamp_us"][ends - 1]).cast(PANES_SCHEMA.field("stamp").type),
        packing.binary_of_records(records, first),
        pa.array((ends - first).astype(np.int32)),
        arrived_us.cast(PANES_SCHEMA.field("kafka_at").type),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=PANES_SCHEMA)


def _order(device: np.ndarray, stamp_us: np.ndarray) -> np.ndarray | None:
    """Indices that sort readings by device and time, the order of arrival deciding ties; None if sorted."""
    low = int(stamp_us.min())
    span = int(stamp_us.max()) - low + 1
    if span > (2**62) // (int(device.max()) + 1):
        return np.lexsort((stamp_us, device))
    key = device.astype(np.int64) * span + (stamp_us - low)
    if np.all(key[1:] >= key[:-1]):
        return None
    return np.argsort(key, kind="stable")
