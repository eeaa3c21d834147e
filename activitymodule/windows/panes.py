"""Messages to panes: what the stream does before its state, one Arrow batch at a time.

Only the fields that packing needs are converted; a pane holds the readings of one device and one slide of
time, sorted, duplicates included (assembling counts them).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activitymodule import settings
from activitymodule.telemetry import decoding
from activitymodule.telemetry.schema import FIELDS
from activitymodule.windows import packing

_ACCELERATION = tuple(f"user_acceleration_{axis}" for axis in "xyz")
_NEEDED = {"device_id", "stamp", "pitch", "roll", *_ACCELERATION, *packing.CHANNELS}
PANE_FIELDS = tuple(f for f in FIELDS if f.name in _NEEDED)
"""The fields of a message that end in a pane; only these are checked by the stream."""

PANES_SCHEMA = pa.schema(
    [
        pa.field("device_id", pa.string()),
        pa.field("stamp", pa.timestamp("us", tz="UTC")),  # of the newest reading
        pa.field("packed", pa.binary()),
        pa.field("n", pa.int32()),
        pa.field("kafka_at", pa.timestamp("us", tz="UTC")),  # of the newest message
    ]
)


def decode_panes(
    values: pa.BinaryArray | pa.ChunkedArray,
    kafka_us: np.ndarray,
    *,
    now_us: int | np.ndarray,
    limits: settings.Telemetry,
    slide_seconds: int,
    newline_terminated: bool = False,
) -> tuple[pa.RecordBatch, pa.Table]:
    """Decode a batch of messages into panes and dead letters.

    values : binary array of shape (n_messages,); kafka_us : int64 ndarray of shape (n_messages,), the
    messages' Kafka timestamps in UTC microseconds. Panes are cut at multiples of the slide since the epoch.
    Returns panes (PANES_SCHEMA; `packed` holds packing.RECORDs sorted by stamp) and dead letters
    (telemetry.decoding.DEAD_SCHEMA). Ledger: items of messages = readings in panes + dead items.
    """
    rows = decoding.decode_rows(
        values, fields=PANE_FIELDS, now_us=now_us, limits=limits, newline_terminated=newline_terminated
    )
    n = len(rows.stamp_us)
    if n == 0:
        return pa.RecordBatch.from_arrays(
            [pa.array([], f.type) for f in PANES_SCHEMA], schema=PANES_SCHEMA
        ), rows.dead
    order = _order(rows.device_code, rows.stamp_us)
    device, stamp_us, floats = rows.device_code, rows.stamp_us, rows.floats
    arrived_us = np.asarray(kafka_us, np.int64)[rows.message]
    if order is not None:
        device, stamp_us, arrived_us = device[order], stamp_us[order], arrived_us[order]
        floats = {name: column[order] for name, column in floats.items()}
    slide = stamp_us // (slide_seconds * 1_000_000)
    new = np.ones(n, bool)
    new[1:] = (device[1:] != device[:-1]) | (slide[1:] != slide[:-1])
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], n)

    records = np.empty(n, packing.RECORD)
    records["stamp_us"] = stamp_us
    acceleration = packing.total_acceleration(
        floats["pitch"], floats["roll"], *(floats[name] for name in _ACCELERATION)
    )
    for index, name in enumerate(packing.CHANNELS):
        records["values"][:, index] = acceleration[index] if index < 3 else floats[name]

    panes = pa.RecordBatch.from_arrays(
        [
            rows.devices.take(pa.array(device[starts])),
            pa.array(stamp_us[ends - 1]).cast(PANES_SCHEMA.field("stamp").type),
            packing.binary_of_records(records, starts),
            pa.array((ends - starts).astype(np.int32)),
            pa.array(np.maximum.reduceat(arrived_us, starts)).cast(PANES_SCHEMA.field("kafka_at").type),
        ],
        schema=PANES_SCHEMA,
    )
    return panes, rows.dead


def _order(device: np.ndarray, stamp_us: np.ndarray) -> np.ndarray | None:
    """Indices that sort readings by device and time, the order of arrival deciding ties; None if sorted."""
    first = int(stamp_us.min())
    span = int(stamp_us.max()) - first + 1
    if span > (2**62) // (int(device.max()) + 1):
        return np.lexsort((stamp_us, device))
    key = device.astype(np.int64) * span + (stamp_us - first)
    if np.all(key[1:] >= key[:-1]):
        return None
    return np.argsort(key, kind="stable")
