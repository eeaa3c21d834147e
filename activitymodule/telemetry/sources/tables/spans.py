"""Labels from a second file of spans: from when to when a person did what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa

from activitymodule.errors import DataError
from activitymodule.telemetry.mapping.model import Mapping, Time
from activitymodule.telemetry.sources.tables.files import missing_column, open_table
from activitymodule.telemetry.sources.tables.times import Clock


@dataclass(frozen=True)
class SpansOf:
    """One person's spans, by their start: start_us and end_us int64 (n,), label object (n,)."""

    start_us: np.ndarray
    end_us: np.ndarray
    label: np.ndarray

    def labels(self, time_us: np.ndarray) -> pa.Array:
        """The label of each moment, null outside all spans; of two that overlap the one that starts later."""
        at = np.searchsorted(self.start_us, time_us, side="right") - 1
        inside = (
            (at >= 0) & (time_us < self.end_us[at.clip(0)]) if len(self.start_us) else np.zeros(len(at), bool)
        )
        found = np.full(len(time_us), None, object)
        found[inside] = self.label[at[inside]]
        return pa.array(found, pa.string())


def read_spans(file: IO[bytes], name: str, mapping: Mapping) -> dict[str | None, SpansOf]:
    """The spans in a file, by person; by None where it names no person. Raises DataError."""
    spec = mapping.spans
    if spec is None:
        return {}
    kind = spec.is_ or ("elapsed_s" if mapping.time.is_ == "rows" else mapping.time.is_)
    zone, form = spec.zone or mapping.time.zone, spec.time_format or mapping.time.format

    def times(column: str, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        time = Time.model_validate({"is": kind, "column": column, "zone": zone, "format": form})
        return Clock(time, spec.format.decimal == ",").read(table)[:2]

    wanted = [name for name in (spec.start, spec.end, spec.label, spec.person) if name is not None]
    with open_table(file, name, spec.format, lambda other: np.empty(0)) as opened:
        for column in wanted:
            if column not in opened.names:
                raise missing_column(column, opened.names, name)
        tables = [block.columns for block in opened.blocks(list(dict.fromkeys(wanted)))]
    table = (
        pa.concat_tables(tables)
        if tables
        else pa.table({column: pa.array([], pa.string()) for column in wanted})
    )
    (start, known), (end, ends) = times(spec.start, table), times(spec.end, table)
    if not (known & ends).all():
        raise DataError(
            f"{int((~(known & ends)).sum())} of {len(table)} spans of {name} have times that are not {kind}; "
            "check spans.is and spans.zone"
        )
    label = np.array(
        [None if v is None else str(v).strip() for v in table.column(spec.label).to_pylist()], object
    )
    person: np.ndarray = np.full(len(table), None, object)
    if spec.person is not None:
        person = np.array([str(v).strip() for v in table.column(spec.person).to_pylist()], object)
    found = {}
    for one in dict.fromkeys(person.tolist()):
        mine = np.flatnonzero(np.array([p == one for p in person], bool))
        order = mine[np.argsort(start[mine], kind="stable")]
        found[one] = SpansOf(start[order], end[order], label[order])
    return found
