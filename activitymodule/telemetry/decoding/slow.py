"""The slow path: messages one by one, each rejection with its reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa

from activitymodule.settings import Telemetry
from activitymodule.telemetry.decoding.batch import Batch
from activitymodule.telemetry.decoding.results import WHOLE_MESSAGE, DeadLetters, columns_schema
from activitymodule.telemetry.reasons import Reason
from activitymodule.telemetry.schema import Field
from activitymodule.telemetry.untrusted import UnusableError, parse_json

_Adders = list[tuple[str, Callable[..., None]]]
_FLOAT_TYPES = (float, int)  # compared by identity: a boolean is an int to isinstance


def read_slowly(
    batch: Batch, messages: np.ndarray, fields: Sequence[Field], limits: Telemetry, dead: DeadLetters
) -> pa.Table:
    """Columns of these messages, read one by one; what is wrong in form becomes a dead letter."""
    schema = columns_schema(fields)
    columns: dict[str, list[object]] = {name: [] for name in schema.names}
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
            add_stamp_ms(int(stamp) if type(stamp) in _FLOAT_TYPES else None)  # type: ignore[call-overload]
            for name, add in floats:
                value = reading.get(name)
                add(None if value is None else float(value))  # type: ignore[arg-type]
            for name, add in strings:
                add(reading.get(name))
    return pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def _items(
    message: bytes, index: int, limits: Telemetry, dead: DeadLetters
) -> Iterable[tuple[int, dict[str, object]]]:
    """The objects of a message with their place in it; what is no object becomes a dead letter."""
    try:
        value = parse_json(message)
    except UnusableError as error:
        dead.add(index, WHOLE_MESSAGE, error.reason, str(error))
        return
    if isinstance(value, dict):
        yield 0, value
    elif not isinstance(value, list):
        detail = f"the message is {_kind(value)}, neither an object nor an array"
        dead.add(index, WHOLE_MESSAGE, Reason.NOT_AN_OBJECT, detail)
    elif not value:
        dead.add(index, WHOLE_MESSAGE, Reason.EMPTY_ARRAY, "the array has no items")
    elif len(value) > limits.max_items:
        detail = f"{len(value)} items; at most {limits.max_items} are allowed"
        dead.add(index, WHOLE_MESSAGE, Reason.TOO_MANY_ITEMS, detail)
    else:
        for item, reading in enumerate(value):
            if isinstance(reading, dict):
                yield item, reading
            else:
                dead.add(index, item, Reason.UNKNOWN_ITEM, f"the item is {_kind(reading)}, not an object")


def _wrong_form(reading: dict[str, object], floats: _Adders, strings: _Adders) -> tuple[Reason, str] | None:
    """What the columns cannot hold: values of another type, numbers that are not finite."""
    device_id = reading.get("device_id")
    if device_id is not None and type(device_id) is not str:
        return Reason.BAD_DEVICE_ID, f"device_id is {_kind(device_id)}, not a string"
    if device_id is None:
        return Reason.NO_DEVICE_ID, "the reading has no device_id"
    stamp = reading.get("stamp")
    if type(stamp) in _FLOAT_TYPES:
        # to JSON Schema, 1.0 is an integer
        if not (math.isfinite(stamp) and stamp == int(stamp) and -(2**63) <= stamp < 2**63):  # type: ignore[arg-type, call-overload, operator]
            return Reason.BAD_STAMP, f"stamp {stamp:.3g} is not an epoch in whole milliseconds"
    elif stamp is not None and type(stamp) is not str:
        return Reason.BAD_STAMP, f"stamp is {_kind(stamp)}, neither text nor whole milliseconds"
    for name, _ in floats:
        value = reading.get(name)
        if value is None:
            continue
        if type(value) not in _FLOAT_TYPES:
            return Reason.WRONG_TYPE, f"{name} is {_kind(value)}, not a number"
        if not math.isfinite(value):  # type: ignore[arg-type]
            return Reason.NOT_FINITE, f"{name} is {value}"
    for name, _ in (*strings, ("stamp", None)):
        value = reading.get(name)
        if value is None:
            continue
        if type(value) is not str:
            if name == "stamp":
                continue
            return Reason.WRONG_TYPE, f"{name} is {_kind(value)}, not a string"
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
