"""Daily records by Spark: windows of predictions (store and lake) and of archived readings, by person and local day.

Each source is read in parallel on the workers: predictions by the hour, the lake by the day, the archive by its files.
What reaches the driver is a row a person and day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from activitymodule.days.columns import SCHEMA
from activitymodule.days.local import HOUR_US, local_day, midnight_us
from activitymodule.days.records import MARGIN_US, WINDOWS, day_record
from activitymodule.days.summaries import summaries
from activitymodule.days.wearers import KEYED, Wearers, keyed
from activitymodule.lake import predictions as lake
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.daily_windows import arrival_dates, windows_between
from activitymodule.store.prediction_days import day_bounds, days_within, taken_out
from activitymodule.streaming import archive
from activitymodule.streaming.causes import cause_of
from activitymodule.streaming.connections import KeptConnection
from activitymodule.streaming.messages import MESSAGE_COLUMNS, with_newline
from activitymodule.streaming.windowing import windows_of
from activitymodule.streaming.worker import gathered
from activitymodule.windows.assembling import assemble
from activitymodule.windows.grouping import SPARK_PANES
from activitymodule.windows.panes import arrival_us, decode_panes

_TASKS_A_CORE = 4
_TABLE = "predictions"
_CHUNK = 4096  # windows that are assembled at a time
_LAKE = {
    "device_id": "device_id",
    "start_us": "window_start",
    "end_us": "window_end",
    "kcal_per_min": "kcal_per_min",
    "coverage": "coverage",
    "readings": "readings_used",
}
_NAMES = {
    pa.string(): "string",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.timestamp("us", "UTC"): "timestamp",
    pa.list_(pa.float64()): "array<double>",
    pa.map_(pa.string(), pa.float64()): "map<string,double>",
}
_connection = KeptConnection()  # of the worker process


def _ddl(schema: pa.Schema) -> str:
    return ", ".join(f"`{field.name}` {_NAMES[field.type]}" for field in schema)


@dataclass(frozen=True)
class _Days:
    """The local days that are made. begin_us, end_us : of all zones, with the margins"""

    first: date
    last: date
    people: Wearers
    begin_us: int
    end_us: int

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        return _time(self.begin_us), _time(self.end_us)

    def keyed(self, windows: pa.Table) -> Iterator[pa.RecordBatch]:
        """Those within that do not overlap, with their persons and days."""
        start, end = (np.asarray(windows.column(name).to_numpy()) for name in ("start_us", "end_us"))
        length = end - start
        whole = (start >= self.begin_us) & (start < self.end_us) & (start % np.maximum(length, 1) == 0)
        table = keyed(_complete(windows.filter(pa.array(whole))), self.people, self.first, self.last)
        yield from table.combine_chunks().to_batches()


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us)


def _complete(windows: pa.Table) -> pa.Table:
    """With all columns of WINDOWS."""
    columns = [
        windows.column(field.name).cast(field.type)
        if field.name in windows.column_names
        else pa.nulls(len(windows), field.type)
        for field in WINDOWS
    ]
    return pa.table(columns, schema=WINDOWS)


def records(spark: SparkSession, config: Settings, people: Wearers, first: date, last: date) -> pa.Table:
    """Daily records of the source `devices`, of everybody and these local dates (both included), columns.SCHEMA.

    Nobody may move predictions to the lake meanwhile. Raises what the store, the lake or the archive does.
    """
    days = _Days(
        first,
        last,
        people,
        min(midnight_us(first, zone) for zone in people.zones) - MARGIN_US,
        max(midnight_us(last + timedelta(days=1), zone) for zone in people.zones) + MARGIN_US,
    )
    with session(config, read_only=True) as connection:
        tables = (_TABLE, *taken_out(connection))
        hours = _hours(days, {d for t in tables for d in days_within(connection, t, *days.bounds)})
        arrivals = arrival_dates(connection, tables, *days.bounds)
    in_lake = [
        one.day
        for one in lake.days(config)
        if days.begin_us < _us(one.day) + 24 * HOUR_US and _us(one.day) < days.end_us
    ]
    arrivals |= {day for one in in_lake for day in _arrivals_of_lake(config, one)}
    arrivals |= {_time(us).date() for us in range(days.begin_us, days.end_us, HOUR_US)}

    # with types: Spark 4.1 and newer ask for them, and fail on a partial, which has none
    def record(windows: pa.Table) -> pa.Table:
        return _record(windows, config.days.inactive)

    try:
        sources = [
            _spread(spark, hours, partial(_of_store, config=config, days=days, tables=tables)),
            _spread(spark, [_us(day) for day in in_lake], partial(_of_lake, config=config, days=days)),
            *(_of_archive(spark, config, days, *run) for run in runs(arrivals)),
        ]
        windows = sources[0]
        for source in sources[1:]:
            windows = windows.unionAll(source)
        table = windows.groupBy("participant", "date").applyInArrow(record, _ddl(SCHEMA)).toArrow()
    except PySparkException as error:
        raise cause_of(error) from error
    return pa.table([table[field.name].cast(field.type) for field in SCHEMA], schema=SCHEMA)


def _us(day: date) -> int:
    return round(day_bounds(day)[0].timestamp()) * 1_000_000


def _hours(days: _Days, there: Collection[date]) -> list[int]:
    """Beginnings of the hours of the days that have windows."""
    hours = [_us(day) + k * HOUR_US for day in sorted(there) for k in range(24)]
    return [us for us in hours if days.begin_us < us + HOUR_US and us < days.end_us]


def _arrivals_of_lake(config: Settings, day: date) -> set[date]:
    found: set[date] = set()
    for batch in lake.day_batches(config, day, ["received_at"]):
        dates = pc.unique(batch.column("received_at").cast(pa.timestamp("us")).cast(pa.date32(), safe=False))
        found |= {one for one in dates.to_pylist() if one is not None}
    return found


def runs(days: Iterable[date]) -> list[tuple[date, date]]:
    """Dates as stretches without a gap, first and last of each."""
    found: list[tuple[date, date]] = []
    for day in sorted({*days}):
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def _spread(spark: SparkSession, numbers: Sequence[int], work: object) -> DataFrame:
    """`work` over numbers, on all cores: KEYED."""
    parts = max(1, min(len(numbers), _TASKS_A_CORE * spark.sparkContext.defaultParallelism))
    rows = spark.sparkContext.parallelize([(number,) for number in numbers], parts)
    return spark.createDataFrame(rows, "us long").mapInArrow(work, _ddl(KEYED))  # type: ignore[arg-type]


# ---- on the workers


def _of_store(
    batches: Iterator[pa.RecordBatch], config: Settings, days: _Days, tables: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for us in batch.column("us").to_pylist():
            hour = partial(windows_between, tables=tables, begin=_time(us), end=_time(us + HOUR_US))
            yield from days.keyed(_connection.run(config, hour))


def _of_lake(batches: Iterator[pa.RecordBatch], config: Settings, days: _Days) -> Iterator[pa.RecordBatch]:
    columns = [*_LAKE.values(), "activity", "smoothed_activity"]
    for batch in batches:
        for us in batch.column("us").to_pylist():
            for part in lake.day_batches(config, _time(us).date(), columns):
                read = {name: part.column(column) for name, column in _LAKE.items()}
                for name in ("start_us", "end_us"):
                    read[name] = read[name].cast(pa.int64())
                read["activity"] = pc.coalesce(part.column("smoothed_activity"), part.column("activity"))
                yield from days.keyed(pa.table(read))


def _of_archive(spark: SparkSession, config: Settings, days: _Days, first: date, last: date) -> DataFrame:
    """Windows of the archived messages that arrived on these dates, KEYED.

    Windows do not overlap here, whatever the slide is.
    """
    windows = config.windows
    config = config.model_copy(
        update={"windows": windows.model_copy(update={"slide_seconds": windows.length_seconds})}
    )
    messages = archive.as_stored(spark, config, first, last).select(with_newline(), *MESSAGE_COLUMNS)
    panes = messages.mapInArrow(partial(_panes, config=config), SPARK_PANES)
    begin, end = days.bounds
    panes = panes.filter((F.col("stamp") >= F.lit(begin)) & (F.col("stamp") < F.lit(end)))
    return windows_of(panes, config).mapInArrow(partial(_summaries, config=config, days=days), _ddl(KEYED))


def _panes(batches: Iterator[pa.RecordBatch], config: Settings) -> Iterator[pa.RecordBatch]:
    """Messages to panes. What cannot be used is in dead_letters since it was scored, and nothing that is needed here
    depends on the axes of a device model."""
    for batch in gathered(batches):
        kafka_us = batch.column("timestamp").cast(pa.int64()).to_numpy()
        kind = pc.fill_null(batch.column("timestampType"), 0).to_numpy()
        yield decode_panes(
            batch.column("value"),
            kafka_us,
            now_us=arrival_us(kafka_us, kind),
            limits=config.telemetry,
            slide_seconds=config.windows.slide_seconds,
            newline_terminated=True,
        )[0]


def _summaries(batches: Iterator[pa.RecordBatch], config: Settings, days: _Days) -> Iterator[pa.RecordBatch]:
    for whole in gathered(batches):
        for low in range(0, whole.num_rows, _CHUNK):
            batch = whole.slice(low, _CHUNK)
            start_us = batch.column("window_us").to_numpy()
            assembled = assemble(start_us, batch.column("panes"), config.windows)
            made = summaries(batch.column("device_id"), start_us, assembled, config.windows)
            yield from days.keyed(pa.Table.from_batches([made]))


def _record(windows: pa.Table, inactive: Collection[str]) -> pa.Table:
    """All windows of a person and day, KEYED, to their record: none, or one row."""
    participant, zone, day = (windows.column(name)[0].as_py() for name in ("participant", "zone", "date"))
    made = day_record(windows.select(WINDOWS.names), participant, local_day(day, zone), inactive)
    return pa.Table.from_pylist([] if made is None else [made], SCHEMA)
