"""The rows of the fleet as a Spark frame, from dbldatagen or from plain Spark; the only module that imports dbldatagen.

Both engines make the very same rows: `device` (1 to N), `second` (UTC), `seed`.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from activitymodule.errors import ConfigError
from activitymodule.synthesis.fleet import Slice, Stream


def fleet_rows(spark: SparkSession, what: Slice | Stream, engine: str, partitions: int) -> DataFrame:
    """Rows of the fleet: a batch for a Slice, a stream for a Stream; columns as above.

    Raises ConfigError for an engine that is not there.
    """
    if engine == "dbldatagen":
        frame = _from_dbldatagen(spark, what, partitions)
    elif engine == "spark":
        frame = _from_spark(spark, what, partitions)
    else:
        raise ConfigError(f"fleet.engine must be dbldatagen or spark; given: {engine}")
    return frame


def _from_dbldatagen(spark: SparkSession, what: Slice | Stream, partitions: int) -> DataFrame:
    try:
        import dbldatagen  # an optional extra
    except ImportError as error:
        raise ConfigError(
            f"fleet.engine is dbldatagen, which cannot be imported ({error}); set fleet.engine to spark"
        ) from error
    device, second = expressions(what)
    rows = what.rows or 1
    columns = (
        dbldatagen.DataGenerator(
            spark, name="fleet", rows=rows, partitions=partitions, randomSeed=what.run.seed, verbose=False
        )
        .withColumn("device", "long", expr=device, baseColumn="id")
        .withColumn("second", "long", expr=second, baseColumn="id")
        .withColumn("seed", "long", expr=f"cast({what.run.seed} as bigint)", baseColumn="id")
    )
    if isinstance(what, Slice):
        return columns.build().select("device", "second", "seed")
    # `rows` does not bound a stream: the number of the row does
    columns = columns.withColumn("number", "long", expr="id", baseColumn="id")
    frame = columns.build(
        withStreaming=True,
        options={"rowsPerSecond": what.rows_per_second, "numPartitions": partitions, "rampUpTimeSeconds": 0},
    )
    bounded = frame if what.rows is None else frame.where(f"number < {what.rows}")
    return bounded.select("device", "second", "seed")


def _from_spark(spark: SparkSession, what: Slice | Stream, partitions: int) -> DataFrame:
    device, second = expressions(what)
    if isinstance(what, Stream):
        numbers = (
            spark.readStream.format("rate")
            .option("rowsPerSecond", what.rows_per_second)
            .option("numPartitions", partitions)
            .load()
            .selectExpr("value as id")
        )
        if what.rows is not None:
            numbers = numbers.where(f"id < {what.rows}")
    else:
        numbers = spark.range(0, what.rows, 1, partitions)
    return numbers.selectExpr(
        f"cast({device} as bigint) as device",
        f"cast({second} as bigint) as second",
        f"cast({what.run.seed} as bigint) as seed",
    )


def expressions(what: Slice | Stream) -> tuple[str, str]:
    """SQL of `device` and `second` from `id`: 0 to rows - 1 of a slice, counted by the rate source of a stream."""
    devices, first = what.run.devices, what.first_second
    if isinstance(what, Stream):
        return f"1 + id % {devices}", f"{first} + id div {devices}"
    width = what.stripe_devices
    stripe = f"(id div {width * what.seconds})"
    own = f"least({width}, {devices} - {stripe} * {width})"
    inside = f"(id - {stripe} * {width * what.seconds})"
    return f"1 + {stripe} * {width} + {inside} % {own}", f"{first} + {inside} div {own}"
