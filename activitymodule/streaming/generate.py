"""The generating job: fleet rows -> messages -> Kafka, as a Spark stream in (faster than) real time, or as a
batch.

Stamps are never ahead of the clock: a run faster than real time starts in the past, and where it catches up
with now it goes on in real time. A stream starts at the second at which it is started; so one that is
started again repeats nothing.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from activitymodule import files
from activitymodule.errors import ActivityError, ConfigError, ServiceUnavailableError
from activitymodule.kafka import clients
from activitymodule.kafka.failures import of_java
from activitymodule.settings import Settings, location
from activitymodule.statistics.reference import ReferenceStatistics
from activitymodule.streaming.fleet_rows import fleet_rows
from activitymodule.streaming.hadoop_files import HadoopFiles
from activitymodule.streaming.session import spark_session
from activitymodule.streaming.spark_errors import java_runs
from activitymodule.synthesis.faults import Run
from activitymodule.synthesis.fleet import Slice, Stream, sending

DAY_SECONDS = 86_400
# A batch is sent in pieces of this much simulated time: all watches stay within it, so that none is later than the
# watermark, which is as long by default.
PIECE_SECONDS = 120
_TRIGGER = "250 milliseconds"
_SINK = {"kafka.linger.ms": "20", "kafka.batch.size": "262144"}


@dataclass(frozen=True)
class Sent:
    """What has been sent so far."""

    messages: int = 0  # to the topic of readings
    readings: int = 0  # in them
    truths: int = 0
    simulated_seconds: int = 0
    elapsed_seconds: float = 0.0


Progress = Callable[[Sent], None]


def _silent(_: Sent) -> None:
    pass


def fleet_run(
    config: Settings,
    *,
    start: int | None = None,
    seconds: int | None = None,
    messages: int | None = None,
    now: float | None = None,
) -> Run:
    """The run that the settings describe: when it starts, when it ends, which faults.

    start : UTC seconds; by default now in real time, else as long ago as `seconds` say, or a day. messages :
    ends after about so many, with whole seconds of the whole fleet. Raises ConfigError for what cannot be.
    """
    fleet = config.fleet
    run = Run(
        fleet.seed,
        fleet.devices,
        0,
        readings_per_message=fleet.readings_per_message,
        reference=fleet.reference,
        faults=fleet.faults,
    )
    if messages is not None:
        if seconds is not None:
            raise ConfigError("give either seconds or messages, not both")
        seconds = -(-messages // (fleet.devices * len(run.sizes)))
    if seconds is not None and seconds < 1:
        raise ConfigError(f"a run lasts at least one second; given: {seconds}")
    if fleet.speed == 0 and seconds is None:
        raise ConfigError("a fleet at speed max never ends by itself; give --seconds or --messages")
    now = time.time() if now is None else now
    if start is None:
        back = 0 if fleet.speed == 1 else (seconds or DAY_SECONDS)
        start = int(now) - back
    latest = int(now + config.telemetry.future_seconds)
    last = None if seconds is None else start + seconds - 1
    if start > latest or (fleet.speed == 0 and last is not None and last > latest):
        raise ConfigError(
            "readings would be ahead of the clock and be refused; start earlier, or leave --start out"
        )
    return Run(run.seed, run.devices, start, last, run.readings_per_message, run.reference, run.faults)


def bounded(
    config: Settings,
    run: Run,
    *,
    spark: SparkSession | None = None,
    on_progress: Progress = _silent,
    stopped: Callable[[], bool] = lambda: False,
    piece_seconds: int = PIECE_SECONDS,
) -> Sent:
    """Send a run that has an end, as fast as it goes: 10 readings a device and second, less the faults."""
    if run.last_second is None:
        raise ConfigError(
            "a run without an end cannot be sent as fast as it goes; give --seconds or --messages"
        )
    clients.require_broker(config)
    # an error in the reference statistics is raised here, not in a worker
    ReferenceStatistics.load(run.reference)
    spark = spark or spark_session(config, "generate")
    began, sent, counts = time.monotonic(), Sent(), Counts(spark)
    for first in range(run.first_second, run.last_second + 1, piece_seconds):
        last = min(first + piece_seconds - 1, run.last_second)
        rows = Slice(run, first, last, stripes=config.fleet.partitions)
        try:
            _writing(config, _outgoing(config, spark, run, rows, counts).write.format("kafka")).save()
        except PySparkException as error:
            raise _broken(config, error) from error
        sent = counts.sent(sent.simulated_seconds + last - first + 1, time.monotonic() - began)
        on_progress(sent)
        if stopped():
            break
    return sent


def live(
    config: Settings,
    run: Run,
    *,
    spark: SparkSession | None = None,
    on_progress: Progress = _silent,
    stopped: Callable[[], bool] = lambda: False,
) -> Sent:
    """Send a run in (faster than) real time, as a stream, until its end or until `stopped` is true."""
    clients.require_broker(config)
    # an error in the reference statistics is raised here, not in a worker
    ReferenceStatistics.load(run.reference)
    spark = spark or spark_session(config, "generate")
    began, counts, sent = time.monotonic(), Counts(spark), Sent()
    for rows in phases(run, config.fleet.speed, time.time()):

        def tell(simulated: int, before: int = sent.simulated_seconds) -> None:
            nonlocal sent
            sent = counts.sent(before + simulated, time.monotonic() - began)
            on_progress(sent)

        _stream(config, _outgoing(config, spark, run, rows, counts), rows, tell, stopped)
        if stopped():
            break
    return sent


def phases(run: Run, speed: float, now: float) -> list[Stream]:
    """The streams of a run: at `speed` until it has caught up with the clock, in real time from then on."""
    total = None if run.last_second is None else run.last_second - run.first_second + 1
    if speed <= 1:
        return [Stream(run, run.first_second, speed, None if total is None else total * run.devices)]
    # simulated time start + speed t meets the clock now + t
    ahead = max(0, int(speed * (now - run.first_second) / (speed - 1)))
    quick = ahead if total is None else min(ahead, total)
    streams = [Stream(run, run.first_second, speed, quick * run.devices)] if quick else []
    rest = None if total is None else total - quick
    if rest != 0:
        rows = None if rest is None else rest * run.devices
        streams.append(Stream(run, run.first_second + quick, 1.0, rows))
    return streams


def _stream(
    config: Settings,
    outgoing: DataFrame,
    rows: Stream,
    tell: Callable[[int], None],
    stopped: Callable[[], bool],
) -> None:
    """Run one stream to its end; `tell` gets the simulated seconds sent so far."""
    # Spark wants a checkpoint; we do not: a stream that went on from one would send the time it was away
    checkpoint = f"{location(config.spark.checkpoints)}/generate-{uuid.uuid4().hex}"
    query: StreamingQuery | None = None
    done = 0
    try:
        query = (
            _writing(config, outgoing.writeStream.format("kafka"))
            .option("checkpointLocation", checkpoint)
            .outputMode("append")
            .trigger(processingTime=_TRIGGER)
            .queryName("generate")
            .start()
        )
        while not stopped() and (rows.rows is None or done < rows.rows):
            # looked at before the progress, so that the last progress is not missed
            ended = not query.isActive
            progress = query.lastProgress
            if progress is not None and progress.sources[0].endOffset is not None:
                # the rate source's offset is its age in seconds
                reached = int(progress.sources[0].endOffset) * rows.rows_per_second
                reached = reached if rows.rows is None else min(reached, rows.rows)
                if reached > done:
                    done = reached
                    tell(done // rows.run.devices)
            # raises what the query failed with
            if query.awaitTermination(0.2) and ended:  # type: ignore[arg-type]
                break
    except PySparkException as error:
        raise _broken(config, error) from error
    finally:
        _clean_up(outgoing.sparkSession, query, checkpoint)


def _clean_up(spark: SparkSession, query: StreamingQuery | None, checkpoint: str) -> None:
    """End the query and delete its checkpoint, also where Spark's Java process has died, at whatever moment."""
    try:
        if query is not None:
            query.stop()
        HadoopFiles(spark).delete(checkpoint)
    except (Py4JError, PySparkException, OSError):
        if java_runs(patience_seconds=1.0):
            raise
        if "://" not in checkpoint:
            shutil.rmtree(Path(checkpoint), ignore_errors=True)


class Counts:
    """Messages that the workers handed to the sink; Spark observes no metrics of a batch that goes to Kafka."""

    def __init__(self, spark: SparkSession) -> None:
        self._messages, self._readings, self._truths = (spark.sparkContext.accumulator(0) for _ in range(3))

    def sent(self, simulated_seconds: int, elapsed_seconds: float) -> Sent:
        """The counts so far."""
        return Sent(
            self._messages.value, self._readings.value, self._truths.value, simulated_seconds, elapsed_seconds
        )

    def passing(self, topic: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
        """Batches as they are, counted; runs in the workers."""
        messages, readings, truths = self._messages, self._readings, self._truths

        def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                if batch.column("topic")[0].as_py() == topic:
                    messages.add(batch.num_rows)
                    readings.add(int(batch.column("readings").to_numpy().sum()))
                else:
                    truths.add(batch.num_rows)
                yield batch.select(["topic", "key", "value"])

        return count


@dataclass(frozen=True)
class Carried:
    """Reference statistics on their way to the workers, which may run on other machines.

    name : a shipped name, or the path of a file; content : of the file and of its note, by their suffix
    """

    name: str
    content: dict[str, bytes]

    @classmethod
    def of(cls, name: str) -> Carried:
        """Those of a name or path, as `ReferenceStatistics.load` takes it."""
        path = Path(name)
        if path.suffix != ".parquet":
            return cls(name, {})
        return cls(name, {suffix: path.with_suffix(suffix).read_bytes() for suffix in (".parquet", ".json")})

    def path(self) -> str:
        """The name, or the path of the files on this machine: their own, else a copy that is made once."""
        if not self.content or Path(self.name).is_file():
            return self.name
        digest = hashlib.sha256(b"".join(self.content.values())).hexdigest()
        path = Path(tempfile.gettempdir()) / f"activity-reference-{digest[:16]}.parquet"
        for suffix in (".json", ".parquet"):  # the one that is looked for comes last
            if not path.with_suffix(suffix).is_file():
                files.write_bytes(path.with_suffix(suffix), self.content[suffix])
        return str(path)


def _outgoing(
    config: Settings, spark: SparkSession, run: Run, rows: Slice | Stream, counts: Counts
) -> DataFrame:
    """The messages of the rows, as Kafka's sink wants them."""
    topic, truth_topic = config.kafka.topic, config.kafka.truth_topic
    carried = Carried.of(run.reference)

    def send(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        there = replace(run, reference=carried.path())
        return sending(batches, run=there, topic=topic, truth_topic=truth_topic)

    count = counts.passing(topic)
    frame = fleet_rows(spark, rows, config.fleet.engine, config.fleet.partitions)
    return frame.mapInArrow(lambda batches: count(send(batches)), "topic string, key string, value binary")


def _writing(config: Settings, writer: Any) -> Any:
    for key, value in {**_SINK, **clients.spark_kafka_options(config)}.items():
        writer = writer.option(key, value)
    return writer


def _broken(config: Settings, error: Exception) -> ActivityError:
    """A failed job as one error: Kafka refuses or is away, ours in a worker, or Spark's own."""
    if refusal := of_java(config, str(error)):
        return refusal
    if not clients.reachable(config):
        return ServiceUnavailableError(
            f"Kafka at {config.kafka.bootstrap_servers} went away while the fleet was sending"
        )
    lines = str(error).splitlines()
    ours = [line.partition(": ")[2] for line in lines if line.startswith("activitymodule.errors.")]
    return ActivityError(f"the fleet stopped sending: {(ours or lines or [type(error).__name__])[0]}")
