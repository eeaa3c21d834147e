"""What the scanner reads, as columns."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pyarrow as pa

from activitymodule.telemetry.decoding.batch import Batch
from activitymodule.telemetry.schema import FIELD_NAMES, FIELDS, Field

# every key is known to the scanner, also where its value is not asked for: unknown ones take longer
_NAMES = np.frombuffer("".join(FIELD_NAMES).encode(), np.uint8)
_CUTS = np.cumsum([0, *map(len, FIELD_NAMES)])


def scanned(
    scanner: ModuleType, batch: Batch, messages: np.ndarray, schema: pa.Schema, most_items: int
) -> tuple[pa.Table, np.ndarray]:
    """Columns (schema: results.columns_schema) of the messages that the scanner takes, and which those are.

    messages : int ndarray of shape (n,), indices into the batch. Gives a bool ndarray of shape (n,) beside the table.
    """
    kinds = np.array([_kind(scanner, field, schema) for field in FIELDS])
    widths = np.array([scanner.WIDTHS[kind] for kind in kinds])
    places = np.cumsum(widths) - widths
    begins, ends = (edge[messages].astype(np.int64) for edge in (batch.starts, batch.ends))
    capacity = batch.opening_braces(int(begins[0]), int(ends[-1]))
    row_message, row_item = (np.empty(capacity, np.int32) for _ in range(2))
    cells = np.full((int(widths.sum()), capacity), np.nan)
    keys = (_NAMES, _CUTS, kinds, places, np.full(len(kinds), -1))
    rows = scanner.scan(batch.data, begins, ends, *keys, most_items, row_message, row_item, cells)
    taken = np.zeros(len(messages), bool)
    taken[row_message[:rows]] = True
    columns = {
        "message": pa.array(messages.astype(np.int32)[row_message[:rows]]),
        "item": pa.array(row_item[:rows]),
    }
    for field, kind, place in zip(FIELDS, kinds, places, strict=True):
        if kind == scanner.NUMBER:
            columns[field.name] = pa.array(cells[place, :rows], from_pandas=True)
        elif kind != scanner.IGNORED:
            columns[field.name] = _texts(scanner, batch.data, *cells[place + 1 : place + 3, :rows])
        if kind == scanner.STAMP:
            columns["stamp_ms"] = pa.array(cells[place, :rows], from_pandas=True).cast(pa.int64())
    return pa.Table.from_arrays([columns[field.name] for field in schema], schema=schema), taken


def _kind(scanner: ModuleType, field: Field, schema: pa.Schema) -> int:
    kinds = {"float": scanner.NUMBER, "string": scanner.TEXT, "stamp": scanner.STAMP}
    return int(kinds[field.kind] if field.name in schema.names else scanner.IGNORED)


def _texts(scanner: ModuleType, text: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> pa.StringArray:
    """Texts cut out of a buffer, null where the size is nan."""
    null = np.isnan(sizes)
    offsets, data = np.empty(len(sizes) + 1, np.int32), np.empty(int(np.nansum(sizes)), np.uint8)
    scanner.gather(text, starts, sizes, offsets, data)
    valid = pa.py_buffer(np.packbits(~null, bitorder="little")) if null.any() else None
    return pa.StringArray.from_buffers(len(sizes), pa.py_buffer(offsets), pa.py_buffer(data), valid)
