"""What decoding yields: readings, dead letters, and the columns in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activitymodule.telemetry.identifiers import is_device_id
from activitymodule.telemetry.reasons import Reason
from activitymodule.telemetry.schema import Field

DEAD_SCHEMA = pa.schema(
    [
        pa.field("message", pa.int32(), nullable=False),
        pa.field("item", pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("device_id", pa.string()),
    ]
)

WHOLE_MESSAGE = -1
"""The item of a dead letter that is the message itself."""

_DETAIL_CHARACTERS = 200


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


class DeadLetters:
    """Dead letters of a batch, collected in any order."""

    def __init__(self) -> None:
        """Start with none."""
        self._rows: list[tuple[int, int, str, str, str | None]] = []

    def add(
        self,
        message: int | np.integer,
        item: int | np.integer,
        reason: Reason,
        detail: str,
        device_id: object = None,
    ) -> None:
        """One dead letter; a device id is kept only where it has the form of one."""
        detail = detail[:_DETAIL_CHARACTERS].encode("ascii", "backslashreplace").decode()
        known = device_id if is_device_id(device_id) else None
        self._rows.append((int(message), int(item), str(reason), detail, known))

    def table(self) -> pa.Table:
        """DEAD_SCHEMA, in the order of message and item."""
        rows = sorted(self._rows, key=lambda row: row[:2])
        arrays = [pa.array([row[i] for row in rows], f.type) for i, f in enumerate(DEAD_SCHEMA)]
        return pa.Table.from_arrays(arrays, schema=DEAD_SCHEMA)


def columns_schema(fields: Sequence[Field]) -> pa.Schema:
    """Columns of readings before validation: a stamp is text or epoch milliseconds."""
    columns = [
        ("message", pa.int32()),
        ("item", pa.int32()),
        ("stamp", pa.string()),
        ("stamp_ms", pa.int64()),
    ]
    kinds = {"float": pa.float64(), "string": pa.string()}
    return pa.schema(columns + [(f.name, kinds[f.kind]) for f in fields if f.kind != "stamp"])


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; a copy only where it has several chunks."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
