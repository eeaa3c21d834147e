"""Export: what is kept of one person, as one archive for them to keep."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from activitymodule.files import written_beside
from activitymodule.lake import daily
from activitymodule.lake.archive import ArrowFiles, archive_path, message_files
from activitymodule.settings import Settings
from activitymodule.store import participants
from activitymodule.store.connection import session
from activitymodule.store.erasures import traces_of
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.telemetry.schema import arrow_schema
from activitymodule.telemetry.traces import Traces
from activitymodule.workflows.history import history

_MESSAGES = 50_000  # decoded at a time
_PREDICTIONS = (
    *("device_id", "window_start", "window_end", "activity", "confidence", "smoothed_activity"),
    *("smoothed_confidence", "kcal_per_min", "coverage", "reason", "model_version", "energy_version"),
)
_README = """\
What is kept of {participant}
{rule}

participant.json    what is known of the participant, and which watches they wore when
readings.parquet    {readings:,} readings of their watches, as they came; docs/telemetry.md has the fields
predictions.csv     {predictions:,} windows of {seconds} s: activity, confidence, energy (kcal/min)
labels.csv          {labels:,} labels that people gave to their windows or spans of time
days.csv            {days:,} daily records in the time zone {zone}

Times are UTC, except the dates of days.csv, which are those of the person. An empty cell is "not known". Parquet is
read by pandas, DuckDB, Spark, R and others.
"""


class Export(BaseModel):
    """An archive that was written."""

    model_config = ConfigDict(frozen=True)

    path: str
    readings: int
    predictions: int
    labels: int
    days: int = Field(description="Daily records")


def export(
    config: Settings, participant: str, path: Path, *, step: Callable[[str], None] = lambda _: None
) -> Export:
    """Write a zip with a participant's readings, predictions, labels and daily records.

    It appears complete or not at all. Raises NotFoundError, ConfigError where it cannot be written.
    """
    with session(config, read_only=True) as connection:
        found = participants.required(connection, participant)
        worn = participants.worn_by(connection, participant)
        labels = participants.labels_of(connection, participant)
        traces = traces_of(connection, participant)
    with written_beside(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as made:
        step("readings of the archive")
        readings = _write_readings(config, traces, made)
        step("predictions")
        predictions = _predictions(config, traces)
        made.writestr("predictions.csv", _csv(predictions))
        step("labels and days")
        made.writestr("labels.csv", _rows(participants.LABEL_COLUMNS, labels))
        days = _flat(daily.read(config, participants=[participant]))
        made.writestr("days.csv", _csv(days))
        known = {**asdict(found.details), "participant": participant, "withdrawn_at": found.withdrawn_at}
        known["watches"] = [asdict(one) for one in worn]
        made.writestr("participant.json", json.dumps(known, indent=1, default=str, sort_keys=True) + "\n")
        counts = {
            "readings": readings,
            "predictions": len(predictions),
            "labels": len(labels),
            "days": len(days),
        }
        text = _README.format(
            participant=participant,
            rule="=" * (16 + len(participant)),
            zone=found.details.zone,
            seconds=config.windows.length_seconds,
            **counts,
        )
        made.writestr("README.txt", text)
    return Export(path=str(path), **counts)


def _write_readings(config: Settings, traces: Traces, made: zipfile.ZipFile) -> int:
    """Readings in the order of the archive, file after file: the memory does not grow with them."""
    count = 0
    with tempfile.NamedTemporaryFile(suffix=".parquet") as held:
        with pq.ParquetWriter(held, arrow_schema(), compression="zstd") as writer:
            for table in readings_of(config, traces):
                writer.write_table(table.cast(arrow_schema()))
                count += len(table)
        held.flush()
        made.write(held.name, "readings.parquet", compress_type=zipfile.ZIP_STORED)
    return count


def readings_of(config: Settings, traces: Traces) -> Iterator[pa.Table]:
    """The archived readings of a person: canonical readings (telemetry.schema), some thousand messages at a time."""
    files = ArrowFiles(archive_path(config))
    for day in message_files(files, files.base, None, None):
        for path in day.paths:
            with files.system.open_input_file(path) as file:
                opened = pq.ParquetFile(file, coerce_int96_timestamp_unit="us")
                for batch in opened.iter_batches(_MESSAGES, columns=["value", "timestamp"]):
                    yield from _readings_in(config, traces, batch)


def _readings_in(config: Settings, traces: Traces, batch: pa.RecordBatch) -> Iterator[pa.Table]:
    value = batch.column("value")
    named = np.zeros(len(batch), bool)
    for one in (*(watch.encode() for watch in traces.watches), b"\\u"):
        found = pc.fill_null(pc.match_substring(value, one), False)
        named |= found.to_numpy(zero_copy_only=False)
    if not named.any():
        return
    own = batch.filter(pa.array(named))
    arrived_us = pc.fill_null(own.column("timestamp").cast(pa.int64()), 0).to_numpy()
    decoded = decode_messages(own.column("value"), now_us=arrived_us, limits=config.telemetry)
    readings = decoded.readings.drop_columns(["message", "item"])
    stamps = readings.column("stamp").cast(pa.int64()).to_numpy()
    rows = traces.times.rows(readings.column("device_id"), stamps)
    if rows.any():
        yield readings.filter(pa.array(rows))


def _predictions(config: Settings, traces: Traces) -> pa.Table:
    tables = []
    for watch in sorted(traces.watches):
        rows = history(config, None, None, watch)
        starts = rows.column("window_start").cast(pa.int64()).to_numpy()
        length_us = config.windows.length_seconds * 1_000_000
        own = traces.times.rows(rows.column("device_id"), starts, length_us)
        tables.append(rows.filter(pa.array(own)).select(list(_PREDICTIONS)))
    none = pa.table({name: pa.array([], pa.string()) for name in _PREDICTIONS})
    return pa.concat_tables(tables) if tables else none


def _flat(table: pa.Table) -> pa.Table:
    """Lists and maps as JSON, for CSV."""
    for k, one in enumerate(table.schema):
        if pa.types.is_nested(one.type):
            values = [
                None if value is None else json.dumps(_plain(value)) for value in table.column(k).to_pylist()
            ]
            table = table.set_column(k, one.name, pa.array(values, pa.string()))
    return table


def _plain(value: object) -> object:
    pairs = isinstance(value, list) and value and all(isinstance(one, tuple) for one in value)
    return dict(value) if pairs else value  # type: ignore[call-overload]


def _csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink)
    return sink.getvalue()


def _rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerows([columns, *rows])
    return sink.getvalue()
