"""Queue items as they are shown to an annotator, and what the store has around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np

from activitymodule.errors import DataError
from activitymodule.store.connection import Connection
from activitymodule.store.queries import Row, fetch_all, fetch_row


@dataclass(frozen=True)
class Item:
    """A queue item as it is shown. `labels` are those of the probabilities; `readings` are packed RECORDs."""

    item_id: int
    device_id: str
    window_start: datetime
    window_end: datetime
    stratum: str
    reason: str
    required_labels: int
    queued_at: datetime
    readings: bytes
    features: np.ndarray  # float32 (n_features,)
    features_version: str
    activity: str
    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    conformal_set: tuple[str, ...]
    kcal_per_min: float | None
    model_version: str
    familiarity: float | None


# array_send is PostgreSQL's binary form of an array: no text to parse for some 300 numbers
_ITEM = """
SELECT q.item_id, q.device_id, q.window_start, q.window_end, q.stratum, q.reason, q.required_labels, q.queued_at,
       q.readings, array_send(q.features) AS features, q.features_version, q.activity, q.probabilities,
       coalesce((SELECT m.labels FROM model_versions m WHERE m.version = q.model_version
                 ORDER BY m.registered_at DESC LIMIT 1), '{}') AS labels,
       q.conformal_set, q.kcal_per_min, q.model_version,
       (SELECT p.familiarity FROM predictions p
        WHERE p.device_id = q.device_id AND p.window_start = q.window_start) AS familiarity
FROM queue_items q WHERE q.item_id = %s
"""


def _item(row: Row) -> Item:
    values = dict(zip((field.name for field in fields(Item)), row, strict=True))
    values["readings"] = bytes(values["readings"])
    values["features"] = floats_of(values["features"])
    for name in ("probabilities", "labels", "conformal_set"):
        values[name] = tuple(values[name])
    return Item(**values)


def floats_of(sent: bytes | memoryview) -> np.ndarray:
    """float32 (n,) of a real[] without nulls in the binary form of array_send."""
    data = bytes(sent)
    if len(data) < 20:
        return np.empty(0, np.float32)
    pairs = np.frombuffer(data, np.dtype([("size", ">i4"), ("value", ">f4")]), offset=20)
    return pairs["value"].astype(np.float32)


def missing_item(item_id: int) -> DataError:
    """The error for an item that does not exist."""
    return DataError(f"there is no queue item {item_id}; it may have been pruned")


def get_item(connection: Connection, item_id: int) -> Item:
    """One item, open or not. Raises DataError where it does not exist."""
    row = fetch_row(connection, _ITEM, (item_id,))
    if row is None:
        raise missing_item(item_id)
    return _item(row)


def lock_item(connection: Connection, item_id: int) -> None:
    """Lock an item's row until the transaction ends. Raises DataError where it does not exist.

    Whatever decides about an item locks its row first and then reads leases and answers with a new statement.
    """
    if fetch_row(connection, "SELECT 1 FROM queue_items WHERE item_id = %s FOR UPDATE", (item_id,)) is None:
        raise missing_item(item_id)


@dataclass(frozen=True)
class Neighbour:
    """A stored prediction of the same watch."""

    window_start: datetime
    window_end: datetime
    activity: str | None
    confidence: float | None


_AROUND = """
SELECT window_start, window_end, coalesce(smoothed_activity, activity), confidence FROM predictions
WHERE device_id = %s AND window_start >= %s AND window_start < %s ORDER BY window_start LIMIT 2000
"""
_READINGS_AROUND = """
SELECT window_start, readings FROM queue_items
WHERE device_id = %s AND window_start >= %s AND window_start < %s ORDER BY window_start
"""
_READINGS = """
SELECT device_id, window_start, readings FROM queue_items
JOIN unnest(%s, %s::timestamptz[]) AS w (device_id, window_start) USING (device_id, window_start)
"""
# Not those of the audit, which are each labelled alone, nor those that need several annotators.
_OPEN_OF_DEVICE = """
SELECT q.item_id FROM queue_items q
WHERE q.device_id = %(device_id)s AND q.item_id <> %(item_id)s AND q.closed_at IS NULL
  AND q.expires_at > clock_timestamp() AND q.stratum <> 'audit' AND q.required_labels = 1
  AND q.features_version = %(version)s
  AND NOT EXISTS (SELECT FROM leases l WHERE l.item_id = q.item_id AND l.annotator <> %(annotator)s
                  AND l.expires_at > clock_timestamp())
  AND NOT EXISTS (SELECT FROM annotations_not_undone a WHERE a.item_id = q.item_id)
ORDER BY abs(extract(epoch FROM q.window_start - %(start)s)) LIMIT %(limit)s
"""


def around(connection: Connection, device_id: str, since: datetime, until: datetime) -> list[Neighbour]:
    """The watch's stored predictions that begin in [since, until), ordered by time."""
    return [Neighbour(*row) for row in fetch_all(connection, _AROUND, (device_id, since, until))]


def neighbour_readings(
    connection: Connection, device_id: str, since: datetime, until: datetime
) -> list[tuple[datetime, bytes]]:
    """Packed readings of queue items of the same watch that begin in [since, until)."""
    rows = fetch_all(connection, _READINGS_AROUND, (device_id, since, until))
    return [(start, bytes(packed)) for start, packed in rows]


def readings_of(
    connection: Connection, windows: Sequence[tuple[str, datetime]]
) -> dict[tuple[str, datetime], bytes]:
    """Packed readings by (device_id, window_start), of windows that were queued."""
    if not windows:
        return {}
    devices, starts = zip(*windows, strict=True)
    rows = fetch_all(connection, _READINGS, (list(devices), list(starts)))
    return {(device, start): bytes(packed) for device, start, packed in rows}


def open_of_device(connection: Connection, item: Item, annotator: str, limit: int = 200) -> list[int]:
    """Open items of the same watch that may be labelled together with `item`, the nearest in time first."""
    values = {
        "device_id": item.device_id,
        "item_id": item.item_id,
        "version": item.features_version,
        "annotator": annotator,
        "start": item.window_start,
        "limit": limit,
    }
    return [row[0] for row in fetch_all(connection, _OPEN_OF_DEVICE, values)]


def features_of(connection: Connection, item_ids: Sequence[int]) -> dict[int, np.ndarray]:
    """Features, float32 (n_features,), by item."""
    sql = "SELECT item_id, array_send(features) FROM queue_items WHERE item_id = ANY (%s)"
    return {number: floats_of(sent) for number, sent in fetch_all(connection, sql, (list(item_ids),))}
