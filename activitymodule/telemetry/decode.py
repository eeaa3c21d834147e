"""Messages to readings: whole batches by Arrow's JSON reader, message by message only where that fails.

Nothing is dropped without a word: every item of every message ends as a reading or as a dead letter with a
Reason. The two paths agree to the last bit, whatever stands beside a message in its batch: the fast one takes
only what RFC 8259 leaves no doubt about, hands the rest to the slow one, and both share one validation.

The fast path reads messages as lines of JSON. That every line is one message is proved, not hoped for: each
message starts with its opening and ends with its closing bracket, raw control bytes cannot stand in a
string, so that messages cannot grow together; hence as many rows as messages means one row a message.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as paj

from activitymodule import settings
from activitymodule.telemetry.schema import FIELDS, Field, arrow_schema


class Reason(StrEnum):
    """Why a message, or one item of it, could not be used. `meaning` is the sentence of the documentation."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Reason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    NULL_MESSAGE = "null_message", "the message has no value (a Kafka tombstone)"
    EMPTY = "empty", "the message has no bytes, or only white space"
    TOO_LARGE = "too_large", "the message is larger than telemetry.max_message_bytes"
    WRONG_ENCODING = "wrong_encoding", "not UTF-8, or with a byte order mark, NUL bytes or lone surrogates"
    NOT_JSON = "not_json", "the message is not one JSON value: cut off, two values, a stray comma"
    TOO_DEEP = "too_deep", "values nested deeper than about a thousand levels"
    NOT_AN_OBJECT = "not_an_object", "the message is a number, a string, a boolean or null"
    EMPTY_ARRAY = "empty_array", "the message is an array without items"
    TOO_MANY_ITEMS = "too_many_items", "the array is longer than telemetry.max_items"
    UNKNOWN_ITEM = "unknown_item", "an item of the array is not an object"
    NO_DEVICE_ID = "no_device_id", "device_id is absent or null"
    BAD_DEVICE_ID = "bad_device_id", "device_id is not a string of 1 to 128 letters, digits or . _ : -"
    NO_STAMP = "no_stamp", "stamp is absent or null"
    BAD_STAMP = "bad_stamp", "stamp is neither ISO-8601 nor whole epoch milliseconds, or no such time exists"
    STAMP_WITHOUT_OFFSET = "stamp_without_offset", "stamp is a local time: neither Z nor an offset follows it"
    STAMP_FROM_THE_FUTURE = (
        "stamp_from_the_future",
        "stamp is more than telemetry.future_seconds ahead: the watch's clock is wrong",
    )
    STAMP_TOO_OLD = (
        "stamp_too_old",
        "stamp is older than telemetry.past_days; epoch seconds taken for milliseconds end here too",
    )
    WRONG_TYPE = "wrong_type", "a field is of another type: text for a number, a boolean, an object"
    NOT_FINITE = "not_finite", "a number is NaN, infinite, or too large for a double"
    OUT_OF_RANGE = "out_of_range", "a number is outside the field's plausible range"


@dataclass(frozen=True)
class Decoded:
    """A decoded batch.

    readings : canonical readings (telemetry.schema.arrow_schema) plus `message` int32, the index into the
    batch, and `item` int32, the index in the message's array (0 for a message of one reading).
    dead : `message` int32, `item` int32 (-1: the whole message), `reason` string, `detail` string,
    `device_id` string (null where unknown). Both in the order of the messages.
    """

    readings: pa.Table
    dead: pa.Table


@dataclass(frozen=True)
class Rows:
    """Validated readings in columns, before they become readings or panes.

    message, item : int32 ndarray of shape (n,); device_code : int32 ndarray of shape (n,), index into
    devices; stamp_us : int64 ndarray of shape (n,), UTC microseconds; floats : name -> float32 ndarray of
    shape (n,), NaN where missing; strings : name -> string array of shape (n,).
    """

    message: np.ndarray
    item: np.ndarray
    devices: pa.StringArray
    device_code: np.ndarray
    stamp_us: np.ndarray
    floats: dict[str, np.ndarray]
    strings: dict[str, pa.StringArray]
    dead: pa.Table


DEAD_SCHEMA = pa.schema(
    [
        pa.field("message", pa.int32(), nullable=False),
        pa.field("item", pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("device_id", pa.string()),
    ]
)

_DEVICE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_DEVICE_ID_RE2 = r"^[A-Za-z0-9._:-]{1,128}$"
_CHUNK_BYTES = 32 << 20  # of one call of Arrow's reader
_LEAF = 8  # fewer messages than this are not worth a call of Arrow's reader
_BACKOFF = 32  # messages parsed one by one after a bad one near the start; doubles while they stay bad
_SAFE_DEPTH = 1000  # orjson refuses 1,024; with fewer brackets than this nothing can be nested that deep
_DETAIL_CHARACTERS = 200

_EPOCH_STAMP = re.compile(rb'"stamp"[ \t\r\n]*:[ \t\r\n]*-?[0-9]')
_ROW = re.compile(r"in row (\d+)")


# ---- entry points


def decode_messages(
    values: pa.BinaryArray | pa.ChunkedArray,
    *,
    now_us: int | np.ndarray,
    limits: settings.Telemetry,
    newline_terminated: bool = False,
) -> Decoded:
    """Decode a batch of messages, each a JSON reading or an array of readings.

    values : binary array of shape (n_messages,), nulls allowed. now_us : UTC microseconds that stamps are
    judged against, one for all or int64 ndarray of shape (n_messages,). newline_terminated : each value already ends
    with a line feed that is not part of the message (Spark SQL appended it), so that the column's data buffer is
    read as it stands.
    """
    rows = decode_rows(
        values, fields=FIELDS, now_us=now_us, limits=limits, newline_terminated=newline_terminated
    )
    columns: list[pa.Array] = []
    for field in FIELDS:
        if field.name == "device_id":
            columns.append(rows.devices.take(pa.array(rows.device_code)))
        elif field.kind == "stamp":
            columns.append(pa.array(rows.stamp_us).cast(pa.timestamp("us", tz="UTC")))
        elif field.kind == "float":
            columns.append(pa.array(rows.floats[field.name], from_pandas=True))
        else:
            columns.append(rows.strings[field.name])
    schema = arrow_schema()
    for name in ("message", "item"):
        schema = schema.append(pa.field(name, pa.int32(), nullable=False))
    columns += [pa.array(rows.message), pa.array(rows.item)]
    return Decoded(pa.Table.from_arrays(columns, schema=schema), rows.dead)


def decode_rows(
    values: pa.BinaryArray | pa.ChunkedArray,
    *,
    fields: Sequence[Field],
    now_us: int | np.ndarray,
    limits: settings.Telemetry,
    newline_terminated: bool = False,
    slowly: bool = False,
) -> Rows:
    """Decode into columns; only `fields` are converted and checked (device_id and stamp always are).

    slowly : message by message throughout; the result is the same (the tests hold it to that).
    """
    batch = _Batch(_as_binary(values), newline_terminated)
    dead = _Dead()
    slow: list[np.ndarray] = []
    tables: list[pa.Table] = []
    usable = _refuse_unreadable(batch, limits, dead)
    if slowly:
        slow.append(usable)
    else:
        opening, closing = batch.first_bytes(usable), batch.last_bytes(usable)
        single = (opening == ord("{")) & (closing == ord("}"))
        array = (opening == ord("[")) & (closing == ord("]"))
        slow.append(usable[~(single | array)])
        for messages, in_arrays in ((usable[single], False), (usable[array], True)):
            _read_fast(batch, messages, in_arrays, fields, limits, tables, slow)
    one_by_one = np.sort(np.concatenate(slow))
    if len(one_by_one):
        tables.append(_read_slowly(batch, one_by_one, fields, limits, dead))
    if len(tables) == 1:
        table = tables[0]
    else:
        table = pa.concat_tables([_columns_schema(fields).empty_table(), *tables]).combine_chunks()
        table = table.take(pc.sort_indices(table, [("message", "ascending"), ("item", "ascending")]))
    return _validate(table, fields, now_us, limits, dead)


def reasons_table() -> str:
    """The reasons as a Markdown table, for docs/telemetry.md."""
    lines = ["| reason | when |", "|---|---|"]
    return "\n".join(lines + [f"| `{reason}` | {reason.meaning} |" for reason in Reason]) + "\n"


# ---- the batch and its dead letters


class _Dead:
    """Dead letters as they are found."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, str, str, str | None]] = []

    def add(
        self,
        message: int | np.integer,
        item: int | np.integer,
        reason: Reason,
        detail: str,
        device_id: object = None,
    ) -> None:
        known = isinstance(device_id, str) and _DEVICE_ID.fullmatch(device_id)
        detail = detail[:_DETAIL_CHARACTERS].encode("ascii", "backslashreplace").decode()
        self.rows.append((int(message), int(item), str(reason), detail, device_id if known else None))  # type: ignore[arg-type]

    def table(self) -> pa.Table:
        rows = sorted(self.rows, key=lambda row: row[:2])
        arrays = [pa.array([row[i] for row in rows], f.type) for i, f in enumerate(DEAD_SCHEMA)]
        return pa.Table.from_arrays(arrays, schema=DEAD_SCHEMA)


class _Batch:
    """Messages as one data buffer and offsets; `ends` leave out the line feed that is not theirs."""

    def __init__(self, values: pa.BinaryArray, newline_terminated: bool) -> None:
        self.values = values
        self.terminated = newline_terminated
        _, offsets, data = values.buffers()
        self.offsets = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
        self.data = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        self.starts = self.offsets[:-1]
        self.ends = self.offsets[1:] - int(newline_terminated)

    def first_bytes(self, messages: np.ndarray) -> np.ndarray:
        return self.data[self.starts[messages]]

    def last_bytes(self, messages: np.ndarray) -> np.ndarray:
        return self.data[self.ends[messages] - 1]

    def message(self, index: int) -> bytes:
        return self.data[self.starts[index] : self.ends[index]].tobytes()


def _as_binary(values: pa.Array | pa.ChunkedArray) -> pa.BinaryArray:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        if isinstance(values, pa.ChunkedArray):  # older and newer Arrow differ in what comes of no chunk
            values = values.chunk(0) if values.num_chunks else pa.array([], values.type)
    if values.type != pa.binary():
        values = values.cast(pa.binary())
    if len(values) == 0:
        return pa.array([b""], pa.binary()).slice(0, 0)
    return values


def _refuse_unreadable(batch: _Batch, limits: settings.Telemetry, dead: _Dead) -> np.ndarray:
    """Indices of the messages that have bytes, and not too many."""
    lengths = batch.ends - batch.starts
    usable = (lengths > 0) & (lengths <= limits.max_message_bytes)
    if batch.values.null_count:
        valid = batch.values.is_valid().to_numpy(zero_copy_only=False)
        for index in np.flatnonzero(~valid):
            dead.add(index, -1, Reason.NULL_MESSAGE, "the message has no value")
        usable &= valid
    else:
        valid = np.True_
    for index in np.flatnonzero((lengths <= 0) & valid):
        dead.add(index, -1, Reason.EMPTY, "the message has no bytes")
    for index in np.flatnonzero((lengths > limits.max_message_bytes) & valid):
        detail = f"{lengths[index]} bytes; at most {limits.max_message_bytes} are allowed"
        dead.add(index, -1, Reason.TOO_LARGE, detail)
    return np.flatnonzero(usable)


# ---- the fast path


def _columns_schema(fields: Sequence[Field]) -> pa.Schema:
    """Columns of readings before validation: a stamp is text or epoch milliseconds."""
    columns = [
        ("message", pa.int32()),
        ("item", pa.int32()),
        ("stamp", pa.string()),
        ("stamp_ms", pa.int64()),
    ]
    kinds = {"float": pa.float64(), "string": pa.string()}
    return pa.schema(columns + [(f.name, kinds[f.kind]) for f in fields if f.kind != "stamp"])


def _read_fast(
    batch: _Batch,
    messages: np.ndarray,
    in_arrays: bool,
    fields: Sequence[Field],
    limits: settings.Telemetry,
    tables: list[pa.Table],
    slow: list[np.ndarray],
) -> None:
    """Read messages of one shape in chunks; what is not clean is added to `slow`."""
    if len(messages) < _LEAF:
        slow.append(messages)
        return
    sizes = np.cumsum((batch.ends - batch.starts)[messages], dtype=np.int64)
    cuts = np.searchsorted(sizes, np.arange(_CHUNK_BYTES, int(sizes[-1]) + 1, _CHUNK_BYTES)) + 1
    for part in np.split(messages, np.unique(cuts[cuts < len(messages)])):
        lines = _Lines.of(batch, part, in_arrays)
        doubtful = lines.doubtful()
        if doubtful.any():
            slow.append(part[doubtful])
            part = part[~doubtful]
            if len(part) < _LEAF:
                slow.append(part)
                continue
            lines = _Lines.of(batch, part, in_arrays)
        lines.read(batch, fields, limits, tables, slow)


@dataclass(frozen=True)
class _Lines:
    """Messages of one shape as lines of JSON: an array becomes {"r": array}.

    messages : int ndarray of shape (n,), indices into the batch; text : the lines; offsets : int64 ndarray of
    shape (n + 1,), where each line starts in text.
    """

    messages: np.ndarray
    in_arrays: bool
    text: bytes
    offsets: np.ndarray

    @classmethod
    def of(cls, batch: _Batch, messages: np.ndarray, in_arrays: bool) -> _Lines:
        whole = len(messages) == len(batch.values)
        chosen = batch.values if whole else batch.values.take(pa.array(messages))
        if in_arrays:
            chosen = pc.binary_join_element_wise(b'{"r":', chosen, b"}\n", b"")
        elif not batch.terminated:
            chosen = pc.binary_join_element_wise(chosen, b"\n", b"")
        _, offsets, data = chosen.buffers()
        offsets = np.frombuffer(offsets, np.int32)[chosen.offset : chosen.offset + len(chosen) + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        text = data.slice(first, last - first).to_pybytes()
        return cls(messages, in_arrays, text, offsets.astype(np.int64) - first)

    def doubtful(self) -> np.ndarray:
        """Lines that Arrow's reader may take otherwise than RFC 8259; bool ndarray of shape (n,)."""
        text = self.text
        doubtful = np.zeros(len(self.messages), bool)
        # escapes (keys may hide in them), NUL, and the tokens that are no JSON; all rare in telemetry
        for token in (b"\\", b"\0", b"NaN", b"Inf"):
            # most batches hold not even the first byte, and one byte is found ten times faster than three
            if text.find(token[:1]) >= 0 and text.find(token) >= 0:
                doubtful |= self._holding(re.compile(re.escape(token)))
        if not text.isascii():
            try:
                text.decode()
            except UnicodeDecodeError:
                for index in range(len(self.messages)):
                    try:
                        text[self.offsets[index] : self.offsets[index + 1]].decode()
                    except UnicodeDecodeError:
                        doubtful[index] = True
        # an array that closes before its end could leave the object we put around it
        if self.in_arrays and text.count(b"]") != len(self.messages):
            doubtful |= self._count(b"]") > 1
        return doubtful

    def _count(self, byte: bytes) -> np.ndarray:
        at = np.flatnonzero(np.frombuffer(self.text, np.uint8) == ord(byte))
        return np.diff(np.searchsorted(at, self.offsets))

    @cached_property
    def _opening(self) -> np.ndarray:
        """Opening brackets of each line."""
        return self._count(b"{") + self._count(b"[")

    def _holding(self, token: re.Pattern[bytes]) -> np.ndarray:
        at = np.array([m.start() for m in token.finditer(self.text)], np.int64)
        return np.diff(np.searchsorted(at, self.offsets)) > 0

    def read(
        self,
        batch: _Batch,
        fields: Sequence[Field],
        limits: settings.Telemetry,
        tables: list[pa.Table],
        slow: list[np.ndarray],
        epoch: bool | None = None,
    ) -> None:
        """Read all lines, cutting at those that fail; the bad ones end in `slow`.

        epoch : whether stamps are epoch milliseconds; None: as in the first line, and where lines of the
        other kind turn up, those that remain are read kind by kind.
        """
        kind_known = epoch is not None
        if epoch is None:
            epoch = _EPOCH_STAMP.search(self.text, 0, int(self.offsets[1])) is not None
        backoff = _BACKOFF
        ranges = [(0, len(self.messages))]
        while ranges:
            start, stop = ranges.pop()
            if stop - start < _LEAF:
                slow.append(self.messages[start:stop])
                continue
            try:
                table, doubtful = self._read_range(start, stop, epoch, fields, limits)
            except pa.ArrowInvalid as error:
                problem = str(error)
            except UnicodeDecodeError:  # pyarrow cannot show the value it complains of
                problem = ""
            else:
                tables.append(table)
                slow.append(doubtful)
                continue
            if "/stamp) changed from" in problem and not kind_known:
                left = np.concatenate([np.arange(*r) for r in [(start, stop), *reversed(ranges)]])
                is_epoch = self._holding(_EPOCH_STAMP)[left]
                for chosen, kind in ((left[is_epoch], True), (left[~is_epoch], False)):
                    if len(chosen):
                        lines = _Lines.of(batch, self.messages[chosen], self.in_arrays)
                        lines.read(batch, fields, limits, tables, slow, epoch=kind)
                return
            row = _ROW.search(problem)
            if row is None:  # a value did not convert, and Arrow does not say whose: halve
                if stop - start <= 2 * _BACKOFF:
                    slow.append(self.messages[start:stop])
                else:
                    middle = (start + stop) // 2
                    ranges += [(middle, stop), (start, middle)]
                continue
            bad = start + int(row[1])
            if bad - start < backoff:  # few good ones before it: bad ones may be many here
                after = min(start + backoff, stop)
                slow.append(self.messages[start:after])
                ranges.append((after, stop))
                backoff *= 2
            else:
                slow.append(self.messages[bad : bad + 1])
                ranges += [(bad + 1, stop), (start, bad)]
                backoff = _BACKOFF

    def _read_range(
        self, start: int, stop: int, epoch: bool, fields: Sequence[Field], limits: settings.Telemetry
    ) -> tuple[pa.Table, np.ndarray]:
        """Columns of the lines [start, stop); the messages among them that only the slow path may judge."""
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        reading = [pa.field("stamp", pa.int64() if epoch else pa.string())]
        reading += [
            f for f in _columns_schema(fields) if f.name not in ("message", "item", "stamp", "stamp_ms")
        ]
        schema = pa.schema([pa.field("r", pa.list_(pa.struct(reading)))] if self.in_arrays else reading)
        # one block: then Arrow's row numbers count from `start`
        table = paj.read_json(
            pa.BufferReader(pa.py_buffer(self.text).slice(first, last - first)),
            read_options=paj.ReadOptions(use_threads=False, block_size=last - first + 1),
            parse_options=paj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
        n = stop - start
        if len(table) != n:
            raise pa.ArrowInvalid("a line holds more than one value")
        messages = self.messages[start:stop].astype(np.int32)
        if self.in_arrays:
            lists = _one_chunk(table.column("r"))
            counts = np.diff(lists.offsets.to_numpy())
            structs = lists.flatten()
            arrays = structs.flatten()
            line = np.repeat(np.arange(n), counts)
            item = np.arange(len(structs)) - np.repeat(np.cumsum(counts) - counts, counts)
            doubtful = (counts == 0) | (counts > limits.max_items)
            if structs.null_count:
                doubtful[line[structs.is_null().to_numpy(zero_copy_only=False)]] = True
        else:
            arrays = [_one_chunk(c) for c in table.select([f.name for f in reading]).columns]
            line = np.arange(n)
            item = np.zeros(n, np.int32)
            doubtful = np.zeros(n, bool)
        # Arrow nests without end, orjson does not; short lines and flat readings (one bracket each) are safe
        flat = len(line) + (2 * n if self.in_arrays else 0)
        if (
            int(np.diff(self.offsets[start : stop + 1]).max()) > _SAFE_DEPTH
            and self.text.count(b"{", first, last) + self.text.count(b"[", first, last) != flat
        ):
            doubtful |= self._opening[start:stop] > _SAFE_DEPTH
        columns = dict(zip([f.name for f in reading], arrays, strict=True))
        for field in fields:
            if field.kind == "float" and len(line):
                span = pc.min_max(columns[field.name])
                if math.inf in (span["max"].as_py(), -(span["min"].as_py() or 0)):  # hundreds of digits
                    endless = np.isinf(columns[field.name].to_numpy(zero_copy_only=False))
                    doubtful[line[endless]] = True
        stamp = columns["stamp"]
        columns["stamp"] = pa.nulls(len(line), pa.string()) if epoch else stamp
        columns["stamp_ms"] = stamp if epoch else pa.nulls(len(line), pa.int64())
        columns["message"], columns["item"] = pa.array(messages[line]), pa.array(item.astype(np.int32))
        wanted = _columns_schema(fields)
        result = pa.Table.from_arrays([columns[f.name] for f in wanted], schema=wanted)
        if doubtful.any():
            result = result.filter(pa.array(~doubtful[line]))
        return result, self.messages[start:stop][doubtful]


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


# ---- the slow path


def _load(message: bytes) -> object:
    """The JSON value of a message; ValueError where it is none, RecursionError where it nests too deeply.

    NaN, Infinity and numbers beyond a double are read as such, so that the reading is blamed and not the
    message, and so that they do no harm in fields that nobody reads.
    """
    try:
        return orjson.loads(message)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise RecursionError from None
        try:
            return json.loads(message, parse_int=_long_int)
        except RecursionError:
            raise
        except ValueError:
            raise ValueError(str(error)) from None


def _long_int(digits: str) -> int | float:
    return int(digits) if len(digits) < 300 else float(digits)


def _read_slowly(
    batch: _Batch, messages: np.ndarray, fields: Sequence[Field], limits: settings.Telemetry, dead: _Dead
) -> pa.Table:
    """Columns of these messages, read one by one; what is wrong in form becomes a dead letter."""
    schema = _columns_schema(fields)
    columns: dict[str, list] = {name: [] for name in schema.names}
    floats = [(f.name, columns[f.name].append) for f in fields if f.kind == "float"]
    strings = [(f.name, columns[f.name].append) for f in fields if f.kind == "string"]
    add_message, add_item = columns["message"].append, columns["item"].append
    add_stamp, add_stamp_ms = columns["stamp"].append, columns["stamp_ms"].append
    for index in messages.tolist():
        for item, reading in _items(batch.message(index), index, limits, dead):
            wrong = _wrong_form(reading, floats, strings)
            if wrong:
                dead.add(index, item, *wrong, reading.get("device_id"))
                continue
            add_message(index)
            add_item(item)
            stamp = reading.get("stamp")
            add_stamp(stamp if type(stamp) is str else None)
            add_stamp_ms(stamp if type(stamp) is int else None)
            for name, add in floats:
                value = reading.get(name)
                add(None if value is None else float(value))  # type: ignore[arg-type]
            for name, add in strings:
                add(reading.get(name))
    return pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def _items(
    message: bytes, index: int, limits: settings.Telemetry, dead: _Dead
) -> Iterable[tuple[int, dict[str, object]]]:
    """The objects of a message with their place in it; what is no object becomes a dead letter."""
    if message.startswith(b"\xef\xbb\xbf"):
        dead.add(index, -1, Reason.WRONG_ENCODING, "starts with a byte order mark; send plain UTF-8")
        return
    if b"\0" in message:
        dead.add(index, -1, Reason.WRONG_ENCODING, "holds NUL bytes; is it UTF-16?")
        return
    try:
        message.decode()
    except UnicodeDecodeError as error:
        dead.add(index, -1, Reason.WRONG_ENCODING, f"not UTF-8 at byte {error.start}")
        return
    if not message.strip(b" \t\r\n"):
        dead.add(index, -1, Reason.EMPTY, "the message is only white space")
        return
    try:
        value = _load(message)
    except RecursionError:
        dead.add(index, -1, Reason.TOO_DEEP, "values are nested too deeply")
        return
    except ValueError as error:
        dead.add(index, -1, Reason.NOT_JSON, str(error))
        return
    if isinstance(value, dict):
        yield 0, value
        return
    if not isinstance(value, list):
        dead.add(index, -1, Reason.NOT_AN_OBJECT, f"the message is {_kind(value)}, no reading and no array")
    elif not value:
        dead.add(index, -1, Reason.EMPTY_ARRAY, "the array has no items")
    elif len(value) > limits.max_items:
        detail = f"{len(value)} items; at most {limits.max_items} are allowed"
        dead.add(index, -1, Reason.TOO_MANY_ITEMS, detail)
    else:
        for item, reading in enumerate(value):
            if isinstance(reading, dict):
                yield item, reading
            else:
                dead.add(index, item, Reason.UNKNOWN_ITEM, f"the item is {_kind(reading)}, no object")


_Adders = list[tuple[str, Callable]]
_FLOAT_TYPES = (float, int)  # compared by identity: a boolean is an int to isinstance


def _wrong_form(reading: dict[str, object], floats: _Adders, strings: _Adders) -> tuple[Reason, str] | None:
    """What the columns cannot hold: values of another type, numbers that are none."""
    device_id = reading.get("device_id")
    if device_id is not None and type(device_id) is not str:
        return Reason.BAD_DEVICE_ID, f"device_id is {_kind(device_id)}, no string"
    if device_id is None:
        return Reason.NO_DEVICE_ID, "the reading has no device_id"
    stamp = reading.get("stamp")
    if stamp is None:
        return Reason.NO_STAMP, "the reading has no stamp"
    if type(stamp) is int:
        if not -(2**63) <= stamp < 2**63:
            return Reason.BAD_STAMP, f"stamp {stamp:.3g} is no epoch in milliseconds"
    elif type(stamp) is not str:
        return Reason.BAD_STAMP, f"stamp is {_kind(stamp)}, neither text nor whole milliseconds"
    for name, _ in floats:
        value = reading.get(name)
        if value is None:
            continue
        if type(value) not in _FLOAT_TYPES:
            return Reason.WRONG_TYPE, f"{name} is {_kind(value)}, no number"
        if not math.isfinite(value):  # type: ignore[arg-type]
            return Reason.NOT_FINITE, f"{name} is {value}"
    for name, _ in (*strings, ("stamp", None)):
        value = reading.get(name)
        if value is None:
            continue
        if type(value) is not str:
            if name == "stamp":
                continue
            return Reason.WRONG_TYPE, f"{name} is {_kind(value)}, no string"
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return Reason.WRONG_ENCODING, f"{name} holds a lone surrogate"
    return None


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    return "a string" if isinstance(value, str) else "an array" if isinstance(value, list) else "an object"


# ---- validation, shared by both paths


class _Verdict:
    """Which rows are still good; the first thing found wrong with a row is its reason."""

    def __init__(self, table: pa.Table, dead: _Dead) -> None:
        self.good = np.ones(len(table), bool)
        self._dead = dead
        self._message = table.column("message").to_numpy()
        self._item = table.column("item").to_numpy()
        self._device = table.column("device_id")

    def refuse(self, bad: np.ndarray, reason: Reason, detail: Callable[[int], str]) -> None:
        """bad : bool ndarray of shape (n,); detail : sentence for a row."""
        for row in np.flatnonzero(bad & self.good):
            self._dead.add(
                self._message[row], self._item[row], reason, detail(int(row)), self._device[int(row)].as_py()
            )
        self.good &= ~bad


def _validate(
    table: pa.Table,
    fields: Sequence[Field],
    now_us: int | np.ndarray,
    limits: settings.Telemetry,
    dead: _Dead,
) -> Rows:
    verdict = _Verdict(table, dead)
    device = _one_chunk(table.column("device_id")).dictionary_encode()
    if device.null_count:
        absent = device.is_null().to_numpy(zero_copy_only=False)
        verdict.refuse(absent, Reason.NO_DEVICE_ID, lambda row: "the reading has no device_id")
    device_code = device.indices.fill_null(0).to_numpy()
    name_is_good = pc.match_substring_regex(device.dictionary, _DEVICE_ID_RE2).to_numpy(zero_copy_only=False)
    if not name_is_good.all():
        verdict.refuse(
            ~name_is_good[device_code] & verdict.good,
            Reason.BAD_DEVICE_ID,
            lambda row: (
                f"device_id {table.column('device_id')[row].as_py()!a} has other characters or length"
            ),
        )
    stamp_us = _stamps(table, verdict)
    if isinstance(now_us, np.ndarray):
        now_us = now_us[table.column("message").to_numpy()]
    for bad, reason, what in (
        (
            stamp_us > now_us + int(limits.future_seconds * 1e6),
            Reason.STAMP_FROM_THE_FUTURE,
            "is in the future",
        ),
        (stamp_us < now_us - int(limits.past_days * 86_400e6), Reason.STAMP_TOO_OLD, "is too old"),
    ):
        if bad.any():
            verdict.refuse(bad, reason, lambda row, what=what: f"stamp {_given_stamp(table, row)} {what}")  # type: ignore[misc]
    floats: dict[str, np.ndarray] = {}
    for field in fields:
        if field.kind != "float":
            continue
        column = _one_chunk(table.column(field.name))
        values = column.to_numpy(zero_copy_only=False)
        if field.low is not None and field.high is not None and column.null_count < len(column):
            span = pc.min_max(column)
            if span["min"].as_py() < field.low or span["max"].as_py() > field.high:
                verdict.refuse(
                    (values < field.low) | (values > field.high),
                    Reason.OUT_OF_RANGE,
                    lambda row, f=field, v=values: f"{f.name} {v[row]:g} is not in {f.low:g} to {f.high:g}",  # type: ignore[misc]
                )
        # orjson reads -0 as 0, Arrow as -0.0
        floats[field.name] = values.astype(np.float32) + np.float32(0)
    strings = {
        f.name: _one_chunk(table.column(f.name))
        for f in fields
        if f.kind == "string" and f.name != "device_id"
    }
    message, item = table.column("message").to_numpy(), table.column("item").to_numpy()
    if not verdict.good.all():
        good = verdict.good
        message, item, device_code, stamp_us = message[good], item[good], device_code[good], stamp_us[good]
        floats = {name: values[good] for name, values in floats.items()}
        strings = {name: values.filter(pa.array(good)) for name, values in strings.items()}
    return Rows(message, item, device.dictionary, device_code, stamp_us, floats, strings, dead.table())


def _given_stamp(table: pa.Table, row: int) -> str:
    text = table.column("stamp")[row].as_py()
    return repr(table.column("stamp_ms")[row].as_py()) if text is None else ascii(text)


_LAST_MS = 253_402_300_799_999  # the end of the year 9999


def _stamps(table: pa.Table, verdict: _Verdict) -> np.ndarray:
    """UTC microseconds of the stamps; 0 where there is none, which is refused here."""
    text, epoch = _one_chunk(table.column("stamp")), _one_chunk(table.column("stamp_ms"))
    n = len(table)
    if epoch.null_count == n and text.null_count == 0:
        stamp_us, known = parse_stamps(text)
    elif text.null_count == n and epoch.null_count == 0:
        stamp_us, known = np.zeros(n, np.int64), np.ones(n, bool)
    else:
        stamp_us, known = np.zeros(n, np.int64), np.ones(n, bool)
        has_text = text.is_valid().to_numpy(zero_copy_only=False)
        stamp_us[has_text], known[has_text] = parse_stamps(text.drop_null())
        absent = ~has_text & epoch.is_null().to_numpy(zero_copy_only=False)
        verdict.refuse(absent, Reason.NO_STAMP, lambda row: "the reading has no stamp")
    if epoch.null_count < n:
        has_epoch = epoch.is_valid().to_numpy(zero_copy_only=False)
        ms = epoch.fill_null(0).to_numpy()
        # bounded, so that microseconds fit: beyond it is the future or too old either way
        stamp_us = np.where(has_epoch, np.clip(ms, -_LAST_MS, _LAST_MS) * 1000, stamp_us)
    if not known.all():
        local = _local_stamps(text)
        verdict.refuse(
            ~known & local,
            Reason.STAMP_WITHOUT_OFFSET,
            lambda row: f"stamp {_given_stamp(table, row)} says no offset; end it with Z or +hh:mm",
        )
        verdict.refuse(
            ~known, Reason.BAD_STAMP, lambda row: f"stamp {_given_stamp(table, row)} is no ISO-8601 time"
        )
    return stamp_us


_UTC_US = pa.timestamp("us", tz="UTC")
_DATE_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}"
_OFFSET_END = r"(Z|[+-]\d{2}(:?\d{2})?)$"
_LONG_FRACTION = r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}\.\d{6})\d{1,3}(Z|[+-]\d{2}(?::?\d{2})?)$"


def parse_stamps(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """ISO-8601 with an offset to UTC microseconds; whether each could be read.

    text : string array of shape (n,) without nulls. A seventh to ninth digit of the fraction is cut off.
    What a value becomes does not depend on its neighbours: Arrow's cast is the judge, of all or of fewer.
    """
    try:
        return pc.cast(text, _UTC_US).cast(pa.int64()).to_numpy(), np.ones(len(text), bool)
    except pa.ArrowInvalid:
        pass
    stamp_us, known = np.zeros(len(text), np.int64), np.zeros(len(text), bool)
    # what Arrow's cast takes, and more: keeps whole batches of local times from being tried one by one
    hopeful = np.flatnonzero(pc.match_substring_regex(text, _OFFSET_END).to_numpy(zero_copy_only=False))
    text = pc.replace_substring_regex(text, _LONG_FRACTION, r"\1\2")
    ranges = [hopeful]
    while ranges:
        chosen = ranges.pop()
        if not len(chosen):
            continue
        try:
            stamp_us[chosen] = pc.cast(text.take(pa.array(chosen)), _UTC_US).cast(pa.int64()).to_numpy()
            known[chosen] = True
        except pa.ArrowInvalid:
            if len(chosen) > 1:
                ranges += np.array_split(chosen, 2)
    return stamp_us, known


def _local_stamps(text: pa.StringArray) -> np.ndarray:
    """Whether each text is a time that only lacks its offset; bool ndarray of shape (n,)."""
    is_time = pc.match_substring_regex(text, _DATE_TIME + r"(:\d{2}(\.\d{1,9})?)?$")
    return is_time.fill_null(False).to_numpy(zero_copy_only=False)
