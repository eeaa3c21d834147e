"""Seconds of watches as JSON messages, thousands at a time.

A reading is a fixed number of bytes: its names and its numbers stand at fixed places, numbers padded on the
left with spaces, which JSON allows. So a batch is one numpy table of bytes, filled a column at a time from
tables of ready-made numbers, and no reading is ever formatted on its own.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from activitymodule.synthesis.attitude import RATE_HZ, Vector, pitch_and_roll
from activitymodule.synthesis.draws import normal
from activitymodule.synthesis.faults import KINDS, Faulty, Letters, Malformed, Run
from activitymodule.synthesis.people import device_name
from activitymodule.synthesis.places import Places, places
from activitymodule.synthesis.readings import DECIMALS, MOTION, Seconds, Watches
from activitymodule.telemetry.schema import FIELD_NAMES

# channel -> greatest magnitude in units of its last decimal; what is beyond is cut (a sensor's range)
_RANGE = {"yaw": 31_416, "pitch": 31_416, "roll": 31_416}
_RANGE |= {f"rotation_rate_{axis}": 34_900 for axis in "xyz"}
_RANGE |= {f"user_acceleration_{axis}": 81_919 for axis in "xyz"}
_RANGE |= {"heart_rate": 2_200, "speed": 1_500, "course": 3_600, "steps": 9}
_RANGE |= {
    "latitude_distance_from_mean": 9_999,
    "longitude_distance_from_mean": 9_999,
    "altitude_distance_from_mean": 9_999,
    "horizontal_accuracy": 99,
    "vertical_accuracy": 99,
}
_DECIMALS = DECIMALS | {
    "steps": 0,
    "latitude_distance_from_mean": 5,
    "longitude_distance_from_mean": 5,
    "altitude_distance_from_mean": 1,
    "horizontal_accuracy": 0,
    "vertical_accuracy": 0,
}
_CONSTANT = {
    "battery_state": b'"unplugged"'
}  # what the fleet sends of a field it has no numbers for, else null
_STAMP_BYTES = len('"2026-01-01T00:00:00.000Z"')


@cache
def _numbers(greatest: int, decimals: int) -> np.ndarray:
    """The JSON of every number -greatest..greatest in units of the last decimal, padded to one width."""
    texts = [f"{value / 10**decimals:.{decimals}f}" for value in range(-greatest, greatest + 1)]
    width = max(map(len, texts))
    return np.array([text.rjust(width).encode() for text in texts])


def _text(channel: str, values: np.ndarray) -> np.ndarray:
    greatest = _RANGE[channel]
    return _numbers(greatest, _DECIMALS[channel])[np.clip(values, -greatest, greatest) + greatest]


@cache
def _layout(name_bytes: int) -> tuple[np.dtype, np.ndarray]:
    """The bytes of one reading, values in fields named `@...`; and a reading with all but its values."""
    pieces: list[tuple[str, int, bytes | None]] = []
    for number, name in enumerate(FIELD_NAMES):
        key = (b"{" if number == 0 else b",") + f'"{name}":'.encode()
        pieces.append((f"key{number}", len(key), key))
        if name == "device_id":
            width = name_bytes
        elif name == "stamp":
            width = _STAMP_BYTES
        elif name in _RANGE:
            width = _numbers(_RANGE[name], _DECIMALS[name]).dtype.itemsize
        else:
            constant = _CONSTANT.get(name, b"null")
            pieces.append(("@" + name, len(constant), constant))
            continue
        pieces.append(("@" + name, width, None))
    pieces += [("end", 1, b"}"), ("after", 1, b",")]
    layout = np.dtype([(name, f"S{width}") for name, width, _ in pieces])
    template = np.zeros(1, layout)
    for name, _, fixed in pieces:
        if fixed is not None:
            template[name] = fixed
    return layout, template


def _flat_motion(seed: int, device: np.ndarray) -> np.ndarray:
    """What a stuck sensor repeats: one direction of 1 g, no rotation; int32 (n, 9)."""
    parts = Vector(*(normal("stuck", seed, device, axis) for axis in range(3)))
    length = np.maximum(parts.norm(), 1e-3)
    pitch, roll = pitch_and_roll(Vector(*(part / length for part in parts)))
    motion = np.zeros((len(device), len(MOTION)), np.int32)
    motion[:, MOTION.index("pitch")] = np.rint(pitch * 1e4)
    motion[:, MOTION.index("roll")] = np.rint(roll * 1e4)
    return motion


def _stamps(second: np.ndarray) -> np.ndarray:
    """JSON stamps of n UTC seconds, ten each: bytes (n, 10)."""
    distinct, index = np.unique(second, return_inverse=True)
    texts = np.datetime_as_string(distinct.astype("datetime64[s]"))
    table = np.array([[f'"{t}.{tenth}00Z"'.encode() for tenth in range(RATE_HZ)] for t in texts.tolist()])
    return table.reshape(-1, RATE_HZ)[index]


def readings_json(device: np.ndarray, stamp_second: np.ndarray, rows: Seconds, where: Places) -> np.ndarray:
    """Bytes of n x 10 readings, uint8 (n, 10, width); each ends with a comma."""
    numbers, index = np.unique(device, return_inverse=True)
    names = [f'"{device_name(number)}"'.encode() for number in numbers.tolist()]
    width = max(map(len, names))
    layout, template = _layout(width)
    out = np.empty((len(device), RATE_HZ), layout)
    out[:] = template
    out["@device_id"] = np.array([name.ljust(width) for name in names])[index][:, None]
    out["@stamp"] = _stamps(stamp_second)
    for number, name in enumerate(MOTION):
        out["@" + name] = _text(name, rows.motion[:, :, number])
    out["@steps"] = _text("steps", rows.steps.astype(np.int64))
    for name, values in (
        ("heart_rate", rows.heart_rate),
        ("speed", rows.speed),
        ("course", rows.course),
        ("latitude_distance_from_mean", where.latitude),
        ("longitude_distance_from_mean", where.longitude),
        ("altitude_distance_from_mean", where.altitude),
        ("horizontal_accuracy", where.horizontal_accuracy),
        ("vertical_accuracy", where.vertical_accuracy),
    ):
        out["@" + name] = _text(name, values)[:, None]
    return out.view(np.uint8).reshape(len(device), RATE_HZ, layout.itemsize)


def messages(run: Run, source: Watches, device: np.ndarray, letters: Letters) -> pa.BinaryArray:
    """The bytes of each letter, in their order; device : int64 (n,), the rows that letters point into."""
    faulty = Faulty(run)
    who = device[letters.row]
    # a second is made once, however many of its messages are sent
    pairs, place = np.unique(np.stack([who, letters.second], 1), axis=0, return_inverse=True)
    place = place.ravel()
    rows = source.seconds(pairs[:, 0], pairs[:, 1])
    if run.faults.flat:
        stuck = faulty.flat(pairs[:, 0], pairs[:, 1])
        rows.motion[stuck] = _flat_motion(run.seed, pairs[stuck, 0])[:, None, :]
    stamp = pairs[:, 1] + faulty.skew(pairs[:, 0])
    body = readings_json(pairs[:, 0], stamp, rows, places(run.seed, pairs[:, 0], pairs[:, 1]))
    kind = (
        faulty.malformed(who, letters.second, letters.part)
        if run.faults.malformed
        else np.full(len(who), -1, np.int64)
    )

    sizes = run.sizes
    if len(set(sizes)) == 1 and not (kind >= 0).any():
        size = sizes[0]
        table = body.reshape(len(pairs), len(sizes), size * body.shape[2])[place, letters.part]
        return _fixed(_enclosed(table, size))
    texts: list[bytes] = []
    for row, part, broken in zip(place.tolist(), letters.part.tolist(), kind.tolist(), strict=True):
        first = sum(sizes[:part])
        readings = body[row, first : first + sizes[part]].reshape(1, -1)
        text = _enclosed(readings, sizes[part]).tobytes()
        texts.append(text if broken < 0 else spoiled(text, KINDS[broken]))
    return pa.array(texts, pa.binary())


def _enclosed(table: np.ndarray, size: int) -> np.ndarray:
    """Messages of `size` readings, uint8 (m, bytes), from readings that each end with a comma."""
    if size == 1:
        return np.ascontiguousarray(table[:, :-1])
    out = np.empty((len(table), table.shape[1] + 1), np.uint8)
    out[:, 0] = ord("[")
    out[:, 1:] = table
    out[:, -1] = ord("]")
    return out


def _fixed(table: np.ndarray) -> pa.BinaryArray:
    """Rows of bytes as an Arrow array, without a copy."""
    offsets = np.arange(len(table) + 1, dtype=np.int64) * table.shape[1]
    if offsets[-1] < 2**31:
        buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(table)]
        return pa.Array.from_buffers(pa.binary(), len(table), buffers)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(table)]
    return pa.Array.from_buffers(pa.large_binary(), len(table), buffers)


def spoiled(text: bytes, kind: Malformed) -> bytes:
    """A message broken in one way; of an array, where that can be, only the first reading."""
    if kind is Malformed.EMPTY:
        return b""
    if kind is Malformed.CUT_OFF:
        return text[: len(text) // 2]
    if kind is Malformed.WRONG_ENCODING:
        return text.replace(b'"unplugged"', b'"\xff\xfe"', 1)
    if kind is Malformed.NUMBER:
        return b"42"
    if kind is Malformed.NO_DEVICE:
        return text.replace(b'"device_id":', b'"device":', 1)
    if kind is Malformed.NO_STAMP:
        return text.replace(b'"stamp":', b'"time":', 1)
    if kind is Malformed.BAD_STAMP:
        return text.replace(b'"stamp":"', b'"stamp":"about ', 1)
    value = {Malformed.WRONG_TYPE: b'"fast"', Malformed.NOT_FINITE: b"1e999", Malformed.OUT_OF_RANGE: b"999"}[
        kind
    ]
    before, key, after = text.partition(b'"heart_rate":')
    return before + key + value + after[after.index(b",") :]
