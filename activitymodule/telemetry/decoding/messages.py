"""The entry points of decoding: a batch of messages to readings, or to columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.settings import Telemetry
from activitymodule.telemetry.decoding.batch import Batch, as_binary, reject_unreadable
from activitymodule.telemetry.decoding.fast import FastReader
from activitymodule.telemetry.decoding.results import DeadLetters, Decoded, Rows, columns_schema
from activitymodule.telemetry.decoding.slow import read_slowly
from activitymodule.telemetry.decoding.validation import validate
from activitymodule.telemetry.schema import FIELDS, Field, arrow_schema


def decode_messages(
    values: pa.BinaryArray | pa.ChunkedArray,
    *,
    now_us: int | np.ndarray,
    limits: Telemetry,
    newline_terminated: bool = False,
) -> Decoded:
    """Decode a batch of messages, each a JSON reading or an array of readings.

    values : binary array of shape (n_messages,), nulls allowed. now_us : UTC microseconds that stamps are
    compared with, one for all or int64 ndarray of shape (n_messages,). newline_terminated : each value already
    ends with a line feed that is not part of the message (Spark SQL appended it), so that the column's data
    buffer is read as it is.
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
    limits: Telemetry,
    newline_terminated: bool = False,
    slowly: bool = False,
) -> Rows:
    """Decode into columns; only `fields` are converted and checked (device_id and stamp always are).

    slowly : message by message throughout; the result is the same (the tests compare the two).
    """
    batch = Batch(as_binary(values), newline_terminated)
    dead = DeadLetters()
    reader = FastReader(batch, fields, limits)
    one_by_one = reject_unreadable(batch, limits, dead)
    if not slowly:
        one_by_one = reader.scan(one_by_one)
        opening, closing = batch.first_bytes(one_by_one), batch.last_bytes(one_by_one)
        single = (opening == ord("{")) & (closing == ord("}"))
        array = (opening == ord("[")) & (closing == ord("]"))
        reader.read(one_by_one[single], in_arrays=False)
        reader.read(one_by_one[array], in_arrays=True)
        one_by_one = np.sort(np.concatenate([one_by_one[~(single | array)], *reader.left]))
    tables = reader.tables
    if len(one_by_one):
        tables = [*tables, read_slowly(batch, one_by_one, fields, limits, dead)]
    if len(tables) == 1:
        table = tables[0]
    else:
        table = pa.concat_tables([columns_schema(fields).empty_table(), *tables]).combine_chunks()
        table = table.take(pc.sort_indices(table, [("message", "ascending"), ("item", "ascending")]))
    return validate(table, fields, now_us, limits, dead)
