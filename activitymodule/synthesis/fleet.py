"""The rows of the fleet, device x second, from dbldatagen or from plain Spark; and what each row sends.

The only module that imports dbldatagen. Both engines make the very same rows: `device` (1 to N), `second`
(UTC), `seed`; `planned` adds the activity of the day plan, `outgoing` the messages. The last two are pure
functions of Arrow batches and run one after the other in the same Python worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from activitymodule.errors import ConfigError
from activitymodule.synthesis.faults import Faulty, Run
from activitymodule.synthesis.messages import messages
from activitymodule.synthesis.people import device_name
from activitymodule.synthesis.readings import watches
from activitymodule.synthesis.truth import truth_messages

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = "device bigint, second bigint, seed bigint"
PLANNED = ROWS + ", activity string"
OUTGOING = "topic string, key string, value binary, readings int"

# of one Arrow batch on its way out: 2,000 rows are 20,000 readings and 12 MB of JSON
_ROWS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Slice:
    """Which rows: seconds first to last of all devices of a run, in stripes of devices.

    A batch reads its rows in ranges, one a task. With one stripe for each task all tasks go through the same
    time together, each with its own devices; were a range a piece of time, half of the readings would come
    minutes before the other half and be late.
    """

    run: Run
    first_second: int
    last_second: int
    stripes: int = 1

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.run.devices * (self.last_second - self.first_second + 1)

    def expressions(self) -> tuple[str, str]:
        """SQL of `device` and `second` from `id`, 0 to rows - 1."""
        seconds = self.last_second - self.first_second + 1
        width = -(-self.run.devices // self.stripes)
        stripe = f"(id div {width * seconds})"
        own = f"least({width}, {self.run.devices} - {stripe} * {width})"
        inside = f"(id - {stripe} * {width * seconds})"
        return (
            f"1 + {stripe} * {width} + {inside} % {own}",
            f"{self.first_second} + {inside} div {own}",
        )


@dataclass(frozen=True)
class Stream:
    """Which rows: all devices second after second from the first on, as the clock (times `speed`) gets
    there.
    """

    run: Run
    first_second: int
    speed: float = 1.0
    rows: int | None = None  # None: without end

    @property
    def rows_per_second(self) -> int:
        """Rows a second of wall-clock time."""
        return max(1, round(self.run.devices * self.speed))

    def expressions(self) -> tuple[str, str]:
        """SQL of `device` and `second` from `id`, which the rate source counts from 0."""
        return f"1 + id % {self.run.devices}", f"{self.first_second} + id div {self.run.devices}"


def fleet_rows(spark: SparkSession, what: Slice | Stream, engine: str, partitions: int) -> DataFrame:
    """Rows of the fleet: a batch for a Slice, a stream for a Stream; columns as in ROWS.

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
        import dbldatagen
    except ImportError as error:
        raise ConfigError(
            f"fleet.engine is dbldatagen, which cannot be imported ({error}); set fleet.engine to spark"
        ) from error
    device, second = what.expressions()
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
    device, second = what.expressions()
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


def planned(batches: Iterable[pa.RecordBatch], *, reference: str) -> Iterator[pa.RecordBatch]:
    """Rows with the activity of the day plan beside them."""
    for batch in batches:
        if not batch.num_rows:
            continue
        source = watches(reference, batch.column("seed")[0].as_py())
        activity = source.plans.activity(batch.column("device").to_numpy(), batch.column("second").to_numpy())
        names = pa.array(source.activities, pa.string()).take(pa.array(activity))
        yield batch.append_column("activity", names)


def outgoing(
    batches: Iterable[pa.RecordBatch], *, run: Run, topic: str, truth_topic: str
) -> Iterator[pa.RecordBatch]:
    """What each row sends: readings and, every ten seconds, the truth; columns as in OUTGOING."""
    source = watches(run.reference, run.seed)
    for whole in batches:
        for first in range(0, whole.num_rows, _ROWS_AT_ONCE):
            batch = whole.slice(first, _ROWS_AT_ONCE)
            device, second = (batch.column(name).to_numpy() for name in ("device", "second"))
            letters = Faulty(run).letters(device, second)
            if len(letters.row):
                values = messages(run, source, device, letters)
                sizes = np.array(run.sizes, np.int32)[letters.part]
                yield _batch(topic, device[letters.row], values, sizes)
            who, truths = truth_messages(run, source, device, second)
            if len(who):
                yield _batch(truth_topic, who, truths, np.zeros(len(who), np.int32))


def _batch(topic: str, device: np.ndarray, values: Any, readings: np.ndarray) -> pa.RecordBatch:
    numbers, index = np.unique(device, return_inverse=True)
    keys = pa.array([device_name(number) for number in numbers.tolist()], pa.string()).take(pa.array(index))
    topics = pa.array([topic], pa.string()).take(pa.array(np.zeros(len(device), np.int8)))
    return pa.RecordBatch.from_arrays(
        [topics, keys, values, pa.array(readings)], names=["topic", "key", "value", "readings"]
    )


def sending(
    batches: Iterable[pa.RecordBatch], *, run: Run, topic: str, truth_topic: str
) -> Iterator[pa.RecordBatch]:
    """`planned`, then `outgoing`: one pass through one Python worker, so that its minutes are made once."""
    return outgoing(planned(batches, reference=run.reference), run=run, topic=topic, truth_topic=truth_topic)
