"""Recordings of any source to cleaned Parquet by person and date, with Spark.

One task reads a unit (one person's file) as a stream, so memory does not grow with the data. The shuffle by person
and date brings duplicates together; only the resulting partitions are overwritten, so a second run changes nothing.
Every row is counted: rows + added = readings + removed, by reason.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc
from pandera.errors import SchemaError
from pyspark import Accumulator, TaskContext
from pyspark.accumulators import AccumulatorParam
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from activitymodule import files
from activitymodule.errors import DataError
from activitymodule.telemetry.cleaning import clean
from activitymodule.telemetry.identifiers import WHOLE_DEVICE_ID
from activitymodule.telemetry.schema import FIELDS, FLOAT_FIELDS, spark_schema
from activitymodule.telemetry.sources import Chunk, Ledger, Unit, remote, source_named
from activitymodule.telemetry.sources import read as read_unit

_DDL = spark_schema().replace(" not null", "") + ", activity string, person string, date date"
_CHUNK_ROWS = 50_000
_SAMPLE_ROWS = 1000
_PARTITION_BYTES = 32 << 20  # of the source, for a task of the shuffle
_OWN_ERROR = re.compile(r"activitymodule\.errors\.DataError: (.*)")


@dataclass(frozen=True)
class Ingestion:
    """Result of preparing a source: rows + the sum of added = readings + the sum of removed."""

    source: str
    path: str
    out: str
    units: int
    people: int
    rows: int
    readings: int
    removed: dict[str, int]
    noticed: dict[str, int]
    added: dict[str, int] = field(default_factory=dict)


def contract() -> pandera.DataFrameSchema:
    """The contract of a prepared chunk: a Pandera schema made from the table of telemetry fields."""
    columns: dict[str, pandera.Column] = {
        "device_id": pandera.Column(str, pandera.Check.str_matches(WHOLE_DEVICE_ID)),
        "stamp": pandera.Column("datetime64[us, UTC]"),
        "activity": pandera.Column(object, nullable=True),
        "person": pandera.Column(str, pandera.Check.str_length(min_value=1)),
        "date": pandera.Column(object),
    }
    for f in FLOAT_FIELDS:
        columns[f.name] = pandera.Column("float32", pandera.Check.in_range(f.low, f.high), nullable=True)
    for f in FIELDS:
        columns.setdefault(f.name, pandera.Column(object, nullable=True))
    return pandera.DataFrameSchema(columns, strict=True)


def check(table: pa.Table, schema: pandera.DataFrameSchema, where: object) -> None:
    """Raise DataError where a chunk violates the contract: a fault of the adapter, not of the recording.

    Of a long chunk only evenly spaced rows are validated, because cleaning has checked every value.
    """
    step = max(1, len(table) // _SAMPLE_ROWS)
    try:
        schema.validate(table.take(pa.array(np.arange(0, len(table), step))).to_pandas())
    except SchemaError as error:
        raise DataError(
            f"{where} violates the contract of clean readings: {str(error).splitlines()[0]}"
        ) from error


def cleaned(chunk: Chunk) -> Chunk:
    """A chunk without invalid values, with its `date` and a balanced ledger."""
    table, removed, noticed = clean(chunk.readings)
    ledger = Ledger(
        chunk.ledger.rows,
        len(table),
        dict(Counter(chunk.ledger.removed) + Counter(removed)),
        dict(Counter(chunk.ledger.noticed) + Counter(noticed)),
        chunk.ledger.added,
    )
    return Chunk(table.append_column("date", pc.cast(table.column("stamp"), pa.date32())), ledger)


def without_repeats(
    batches: Iterable[pa.RecordBatch], count: Callable[[int, int], None]
) -> Iterator[pa.RecordBatch]:
    """Rows sorted by device and stamp, without repeated stamps: the first row of each is kept.

    count : called with (kept, repeated) for each batch
    """
    last: tuple[object, object] | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        device = batch.column("device_id")
        stamp = batch.column("stamp").cast(pa.int64()).to_numpy()
        code = device.dictionary_encode().indices.to_numpy()
        new = np.ones(batch.num_rows, bool)
        new[1:] = (code[1:] != code[:-1]) | (stamp[1:] != stamp[:-1])
        new[0] = last != (device[0].as_py(), stamp[0])
        last = (device[-1].as_py(), stamp[-1])
        count(int(new.sum()), int((~new).sum()))
        yield batch if new.all() else batch.filter(pa.array(new))


def prepare(
    spark: SparkSession, source: str, path: Path | str, out: str, people: list[str] | None = None
) -> Ingestion:
    """Read a source's recordings, clean them and write them to `out`, partitioned by person and date.

    path : of this machine, or an address of object storage, whose files are copied to the tasks that read them
    people : only these; by default all. Raises ConfigError or DataError, also where no row is a reading.
    """
    reader = source_named(source)
    sizes = (
        remote.scan(reader, path)
        if isinstance(path, str)
        else {unit: _bytes(Path(unit.path)) for unit in reader.scan(path)}
    )
    units = list(sizes)
    if people:
        units = [unit for unit in units if unit.person in people]
    ledgers = spark.sparkContext.accumulator({}, _ByKey())
    repeats = spark.sparkContext.accumulator({}, _ByKey())
    specs = [(json.dumps(asdict(unit)),) for unit in units]
    # one slice a unit, so that a person's file is one task
    frame = spark.createDataFrame(spark.sparkContext.parallelize(specs, len(specs)), "unit string")
    readings = frame.mapInArrow(_reader(ledgers), _DDL)
    size = sum({unit.path: sizes[unit] for unit in units}.values())
    least = int(spark.conf.get("spark.sql.shuffle.partitions") or 1)
    _write(readings, max(least, -(-size // _PARTITION_BYTES)), out, repeats)

    total = Ledger()
    with_readings = set()
    for key in sorted(ledgers.value):
        ledger = Ledger(**ledgers.value[key])
        total += ledger
        if ledger.readings:
            with_readings.add(json.loads(key)["person"])
    kept = sum(pair[0] for pair in repeats.value.values())
    repeated = sum(pair[1] for pair in repeats.value.values())
    total += Ledger(0, -repeated, {"repeated_stamp": repeated} if repeated else {})
    if not total.balanced or total.readings != kept:
        raise DataError(
            f"the counts of {path} do not add up ({total.rows} rows, {kept} readings, {total.removed}); "
            "run the command again"
        )
    if not total.readings:
        counts = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in sorted(total.removed.items()))
        raise DataError(
            f"nothing was prepared: none of the {total.rows:,} rows of {path} is a reading"
            f"{counts and f' ({counts})'}; see docs/recordings.md for the format of {reader.name}"
        )
    return Ingestion(
        reader.name,
        str(path),
        out,
        len(units),
        len(with_readings),
        total.rows,
        total.readings,
        dict(sorted(total.removed.items())),
        dict(sorted(total.noticed.items())),
        dict(sorted(total.added.items())),
    )


def _bytes(path: Path) -> int:
    """The size of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


class _ByKey(AccumulatorParam[dict[Any, Any]]):
    """Counts by key: a task that runs twice reports the same key twice, which counts once."""

    def zero(self, value: dict[Any, Any]) -> dict[Any, Any]:  # noqa: ARG002 (Spark passes it)
        return {}

    def addInPlace(self, value1: dict[Any, Any], value2: dict[Any, Any]) -> dict[Any, Any]:  # noqa: N802
        value1.update(value2)
        return value1


def _reader(
    ledgers: Accumulator[dict[Any, Any]],
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        schema = contract()
        for batch in batches:
            for spec in batch.column("unit").to_pylist():
                unit = Unit(**json.loads(spec))
                total = Ledger()
                with remote.local(unit) as here:
                    for chunk in map(cleaned, read_unit(here)):
                        total += chunk.ledger
                        check(chunk.readings, schema, unit)
                        for part in chunk.readings.to_batches(max_chunksize=_CHUNK_ROWS):
                            # Spark's schema, parsed from text, allows nulls everywhere
                            yield part.cast(pa.schema([f.with_nullable(True) for f in part.schema]))
                ledgers.add({spec: asdict(total)})

    return read


def _write(readings: DataFrame, partitions: int, out: str, repeats: Accumulator[dict[Any, Any]]) -> None:
    def once(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        counts = [0, 0]

        def count(kept: int, repeated: int) -> None:
            counts[0] += kept
            counts[1] += repeated

        yield from without_repeats(batches, count)
        repeats.add({context.partitionId() if context else 0: counts})

    # of rows with one stamp the first is kept: a labelled one, then the one with the smallest values
    order = [F.col("device_id"), F.col("stamp"), F.col("activity").asc_nulls_last()]
    order += [F.col(f.name).asc_nulls_last() for f in FLOAT_FIELDS]
    unique = (
        readings.repartition(partitions, "person", "date")
        .sortWithinPartitions("person", "date", *order)
        .mapInArrow(once, _DDL)
    )
    try:
        (
            unique.write.mode("overwrite")
            .option("partitionOverwriteMode", "dynamic")
            .partitionBy("person", "date")
            .parquet(out)
        )
    except PySparkException as error:
        own = _OWN_ERROR.search(str(error))
        if own:
            raise DataError(own[1]) from None
        raise DataError(f"Spark could not write {out}: {str(error).splitlines()[0]}") from error


def report(ingestion: Ingestion, path: Path) -> None:
    """Write the result to reports/ingestion_summary.json, one entry a source; other entries stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        summary = {}
    summary[ingestion.source] = asdict(ingestion)
    files.write_text(path, json.dumps(summary, indent=2, sort_keys=True) + "\n")
