"""What every source makes: chunks of canonical readings with the ledger of the rows they were made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from activitymodule.telemetry.schema import FIELDS, arrow_schema


def chunk_schema() -> pa.Schema:
    """Canonical readings, then `activity` (the truth, null where unknown) and `person`."""
    extra = [pa.field("activity", pa.string()), pa.field("person", pa.string(), nullable=False)]
    return pa.schema([*arrow_schema(), *extra])


@dataclass(frozen=True)
class Ledger:
    """Accounts for the rows of a source: rows + all added = readings + all removed. `noticed` counts what was kept.

    A row is what the source measured at one instant; a reading that no row stands for is added (interpolated).
    """

    rows: int = 0
    readings: int = 0
    removed: Mapping[str, int] = field(default_factory=dict)
    noticed: Mapping[str, int] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Ledger) -> Ledger:
        """The counts of both."""
        return Ledger(
            self.rows + other.rows,
            self.readings + other.readings,
            dict(Counter(self.removed) + Counter(other.removed)),
            dict(Counter(self.noticed) + Counter(other.noticed)),
            dict(Counter(self.added) + Counter(other.added)),
        )

    @property
    def balanced(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows + sum(self.added.values()) == self.readings + sum(self.removed.values())


@dataclass(frozen=True)
class Chunk:
    """readings : table of chunk_schema(), in time order within a unit; ledger : the rows it was made of."""

    readings: pa.Table
    ledger: Ledger


def chunk_table(
    columns: Mapping[str, pa.Array | np.ndarray], person: str, device_id: str, n: int
) -> pa.Table:
    """A chunk's table of n rows: these columns, as float32 or text, and null for all others; NaN becomes null."""
    schema = chunk_schema()
    names = {f.name: f for f in FIELDS}
    arrays = []
    for column in schema:
        if column.name == "device_id":
            array = pa.repeat(pa.scalar(device_id), n)
        elif column.name == "person":
            array = pa.repeat(pa.scalar(person), n)
        elif column.name not in columns:
            array = pa.nulls(n, column.type)
        else:
            array = columns[column.name]
            if isinstance(array, np.ndarray):
                if column.name in names and names[column.name].kind == "stamp":
                    array = pa.array(array.astype(np.int64))
                else:
                    array = pa.array(array, from_pandas=True)
            array = array.cast(column.type)
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema)
