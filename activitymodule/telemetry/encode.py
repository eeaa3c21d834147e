"""Readings to messages: the vectorised inverse of decoding, which returns the same readings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.telemetry.schema import FIELDS

PERIOD_US = 100_000  # between readings, 10 Hz
SPAN_US = 10_000_000  # truth spans end at multiples of this


@dataclass(frozen=True)
class Messages:
    """Messages of a table of readings.

    device_id, value : lists of n messages; newest_us : int64 ndarray of shape (n,), the last reading's
    stamp; readings : int ndarray of shape (n,), how many each message holds.
    """

    device_id: list[str]
    value: list[bytes]
    newest_us: np.ndarray
    readings: np.ndarray


def stamp_texts(stamp_us: np.ndarray) -> np.ndarray:
    """ISO-8601 in UTC with Z, milliseconds where they are enough; str ndarray of shape (n,)."""
    whole = bool(np.all(stamp_us % 1000 == 0))
    texts = np.datetime_as_string(stamp_us.astype("datetime64[us]"), unit="ms" if whole else "us")
    return np.asarray(np.char.add(texts, "Z"))


def reading_texts(readings: pa.Table) -> pa.StringArray:
    """Each reading as a JSON object; fields without a value are left out."""
    stamps = pc.cast(readings.column("stamp"), pa.int64()).to_numpy()
    n = len(readings)
    device = _one(readings.column("device_id"))
    parts: list[pa.Array | str] = [
        '{"device_id":"',
        device,
        '","stamp":"',
        pa.array(stamp_texts(stamps)),
        '"',
    ]
    for field in FIELDS:
        if field.required or field.name not in readings.column_names:
            continue
        column = _one(readings.column(field.name))
        if column.null_count == n:
            continue
        if field.kind == "float":
            # Arrow writes the shortest text that reads as the same float32
            text = pc.cast(column.cast(pa.float32()), pa.string())
        else:
            unique = column.dictionary_encode()
            quoted = pa.array([orjson.dumps(v).decode() for v in unique.dictionary.to_pylist()], pa.string())
            text = quoted.take(unique.indices)
        parts.append(pc.fill_null(pc.binary_join_element_wise(f',"{field.name}":', text, ""), ""))
    return pc.binary_join_element_wise(*parts, "}", "")


def messages(readings: pa.Table, readings_per_message: int) -> Messages:
    """Messages of readings sorted by time within each device; an array of readings that fall together.

    Readings of one device that fall into the same readings_per_message x 0.1 s of UTC, at most
    readings_per_message of them, make one message; a single one is an object, not an array.
    """
    if not len(readings):
        return Messages([], [], np.empty(0, np.int64), np.empty(0, np.int64))
    stamps = pc.cast(readings.column("stamp"), pa.int64()).to_numpy()
    device = _one(readings.column("device_id")).dictionary_encode()
    code = device.indices.to_numpy()
    slot = stamps // (readings_per_message * PERIOD_US)
    new = np.ones(len(stamps), bool)
    new[1:] = (code[1:] != code[:-1]) | (slot[1:] != slot[:-1])
    index = np.arange(len(stamps))
    new |= (index - np.maximum.accumulate(np.where(new, index, 0))) % readings_per_message == 0
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(stamps))
    lists = pa.ListArray.from_arrays(
        pa.array(np.append(starts, len(stamps)).astype(np.int32)), reading_texts(readings)
    )
    joined = pc.binary_join(lists, ",")
    several = pa.array(ends - starts > 1)
    value = pc.if_else(several, pc.binary_join_element_wise("[", joined, "]", ""), joined)
    return Messages(
        device.dictionary.take(pa.array(code[starts])).to_pylist(),
        [text.encode() for text in value.to_pylist()],
        stamps[ends - 1],
        ends - starts,
    )


def truth_spans(readings: pa.Table, source: str) -> list[tuple[int, str, bytes]]:
    """The truth topic's messages of readings with an `activity`: (end in UTC us, device_id, JSON) each.

    A span ends where the activity changes, where readings are missing for over a second, and at every full
    ten seconds of UTC, so that it can be sent as soon as it is over.
    """
    if not len(readings):
        return []
    stamps = pc.cast(readings.column("stamp"), pa.int64()).to_numpy()
    device = _one(readings.column("device_id")).dictionary_encode()
    activity = _one(readings.column("activity")).dictionary_encode()
    label_code = activity.indices.fill_null(-1).to_numpy()
    device_code, part = device.indices.to_numpy(), stamps // SPAN_US
    new = np.ones(len(stamps), bool)
    new[1:] = (
        (device_code[1:] != device_code[:-1])
        | (label_code[1:] != label_code[:-1])
        | (part[1:] != part[:-1])
        | (np.diff(stamps) > 10 * PERIOD_US)
    )
    starts = np.flatnonzero(new)
    lasts = np.append(starts[1:], len(stamps)) - 1
    labelled = label_code[starts] >= 0
    starts, lasts = starts[labelled], lasts[labelled]
    ends_us = np.minimum(stamps[lasts] + PERIOD_US, (part[lasts] + 1) * SPAN_US)
    names, labels = device.dictionary.to_pylist(), activity.dictionary.to_pylist()
    spans = []
    for start, end, end_us, code, label in zip(
        stamp_texts(stamps[starts]),
        stamp_texts(ends_us),
        ends_us.tolist(),
        device_code[starts].tolist(),
        label_code[starts].tolist(),
        strict=True,
    ):
        span = {
            "device_id": names[code],
            "start": str(start),
            "end": str(end),
            "activity": labels[label],
            "kcal_per_min": None,
            "source": source,
        }
        spans.append((end_us, names[code], orjson.dumps(span)))
    return spans


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.cast(column.type).chunks)
