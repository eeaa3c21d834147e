"""The metrics of a report: every model's figures with their intervals, as JSON, CSV and an export."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, TypeAdapter

from activitymodule import files
from activitymodule.lake.csv_text import written
from activitymodule.lake.exports import write_export
from activitymodule.workflows.reports.files import METRICS


class Metric(BaseModel):
    """One figure of one model.

    low, high : its 95 % interval, over what `interval` says; data : synthetic or recorded
    """

    model_config = ConfigDict(frozen=True)

    model: str
    family: str
    data: str
    figure: str
    value: float
    low: float | None = None
    high: float | None = None
    interval: str = ""
    people: int | None = None
    note: str = ""


_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "family", "data", "figure")),
        *((name, pa.float64()) for name in ("value", "low", "high")),
        ("interval", pa.string()),
        ("people", pa.int64()),
        ("note", pa.string()),
    ]
)


def write_metrics(folder: Path, metrics: Sequence[Metric]) -> None:
    """Write metrics.json, metrics.csv and the export `metrics`, sorted by model, family, data and figure."""
    ordered = sorted(metrics, key=lambda one: (one.model, one.family, one.data, one.figure))
    files.write_bytes(folder / METRICS, TypeAdapter(list[Metric]).dump_json(ordered, indent=2) + b"\n")
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(_SCHEMA.names)
    rows.writerows([written(getattr(one, name)) for name in _SCHEMA.names] for one in ordered)
    files.write_text(folder / "metrics.csv", out.getvalue())
    table = pa.Table.from_pylist([one.model_dump() for one in ordered], _SCHEMA)
    write_export(folder / "dashboard", "metrics", table, order=("model", "family", "data", "figure"))
