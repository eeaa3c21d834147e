"""Daily records of synthesised people by Spark: people -> their days -> a Parquet file a month.

A task makes all days of some people, then a task writes all people's days of a month. Rows are a function of (seed,
person, date) and sorted before they are written: neither partitions nor order change a byte.
"""

from __future__ import annotations

from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from activitymodule.days.columns import SCHEMA
from activitymodule.lake import daily_writing
from activitymodule.lake.daily import HISTORY, Month, months
from activitymodule.settings import Settings
from activitymodule.streaming.fleet_rows import fleet_rows
from activitymodule.synthesis.daily.records import SOURCE, HistoryRun, records
from activitymodule.synthesis.faults import Run
from activitymodule.synthesis.fleet import Slice

_TYPES = {
    pa.string(): "string",
    pa.date32(): "date",
    pa.float64(): "double",
    pa.timestamp("us", "UTC"): "timestamp",
    pa.list_(pa.float64()): "array<double>",
    pa.map_(pa.string(), pa.float64()): "map<string,double>",
}
_DDL = ", ".join(f"`{field.name}` {_TYPES[field.type]}" for field in SCHEMA)
_MONTH = "month"


def generate(
    spark: SparkSession, config: Settings, run: HistoryRun, partitions: int, engine: str = "spark"
) -> dict[Month, int]:
    """Write the records of a run in place of all synthesised ones that are there; rows by month.

    engine : what makes the rows of people, dbldatagen or spark. Raises ConfigError for one that is not there, and what
    the lake does; what a worker raises comes as Spark's error.
    """
    # a second of a fleet of so many watches: one row a person
    fleet = Slice(Run(run.seed, run.people, 0, 0), 0, 0)
    people = fleet_rows(spark, fleet, engine, partitions).select(F.col("device").alias("person"))
    rows = people.mapInArrow(partial(records, run=run), _DDL)
    by_month = rows.withColumn(_MONTH, F.date_format("date", "yyyy-MM")).groupBy(_MONTH)

    # with types: Spark 4.1 and newer ask for them, and fail on a partial, which has none
    def written(month: pa.Table) -> pa.Table:
        return _written(month, config)

    counts = by_month.applyInArrow(written, "month string, rows long").collect()
    made = {Month(*map(int, row["month"].split("-"))): row["rows"] for row in counts}
    left = [month for month in months(config, HISTORY) if month not in made]
    daily_writing.replace(config, SCHEMA.empty_table(), pc.field("source") == SOURCE, left, folder=HISTORY)
    return dict(sorted(made.items()))


def _written(rows: pa.Table, config: Settings) -> pa.Table:
    """Replace the synthesised records of a month by these."""
    month = rows.column(_MONTH)[0].as_py()
    table = pa.table([rows.column(field.name).cast(field.type) for field in SCHEMA], schema=SCHEMA)
    daily_writing.replace(config, table, pc.field("source") == SOURCE, folder=HISTORY)
    return pa.table({"month": [month], "rows": [len(table)]})
