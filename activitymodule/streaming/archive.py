"""The archive: raw messages of the topic as Parquet by date, from which everything else can be computed again.

The scoring job writes it beside its batches (archiver.py). The date is that of the message's arrival (UTC).
lake/archive.py has the layout, archive_record.py the record of what is archived.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from activitymodule.errors import DataError, StoreUnavailableError
from activitymodule.kafka.clients import spark_kafka_options, topic_ends
from activitymodule.kafka.topics import topic_id
from activitymodule.lake.archive import (
    OLD_LOG,
    Range,
    archive_path,
    day_folders,
    file_name,
    logged_names,
    message_files,
    staging_path,
    unfinished,
    without_excluded,
)
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.participants import excluded
from activitymodule.streaming.archive_record import (
    RECORD,
    Archived,
    Ends,
    archived_by_name,
    checked,
    fitted,
    former_offsets,
    load_record,
    new_record,
    next_batch,
)
from activitymodule.streaming.checkpoint import checkpoint_path, set_aside
from activitymodule.streaming.hadoop_files import HadoopFiles
from activitymodule.streaming.log import log
from activitymodule.streaming.messages import MESSAGE_COLUMNS
from activitymodule.streaming.offsets import offsets_json
from activitymodule.telemetry.excluded import Excluded

_MESSAGES = "key binary, value binary, partition int, offset bigint, timestamp timestamp, timestampType int"
_SCHEMA = f"{_MESSAGES}, topic_id string"
# the files of a batch appear when the driver renames them, so a task may put its own there at once
_WRITING = {
    "compression": "zstd",
    "parquet.compression.codec.zstd.level": "1",  # as small as by level 3, and quicker
    # no two are alike, so that looking for one in a dictionary is in vain
    "parquet.enable.dictionary#value": "false",
    "parquet.enable.dictionary#offset": "false",
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


@dataclass(frozen=True)
class Progress:
    """The archive after a batch. ends : those of Kafka; done : nothing was left to archive."""

    record: Archived
    ends: Ends
    done: bool

    def behind(self) -> int:
        """Messages that Kafka has and the archive has not."""
        return sum(max(0, last - self.record.offsets.get(p, first)) for p, (first, last) in self.ends.items())


class ArchiveWriter:
    """Archives the topic batch by batch. Whatever fails in between may be done again by `write_batch`."""

    def __init__(self, spark: SparkSession, config: Settings) -> None:
        self._spark, self._config = spark, config
        self._root, self._staging = archive_path(config), staging_path(config)
        self._files = HadoopFiles(spark)
        self._former_checkpoint = checkpoint_path(config, "archive")
        self._checked = False
        self._excluded: Excluded | None = None
        self._logged: list[str] = []

    def forget(self) -> None:
        """Set the record aside: the archive begins with what Kafka has, beside the files that are there."""
        if aside := set_aside(self._spark, f"{self._root}/{RECORD}"):
            log(f"the record of the archive was set aside as {aside}")

    def write_batch(self) -> Progress | None:
        """Archive the next messages; None where Kafka has no such topic. Raises what Spark, Kafka or the disk does."""
        config, files = self._config, self._files
        topic = config.kafka.topic
        number = topic_id(config, topic)
        ends = topic_ends(config, topic)
        if ends is None:
            return None
        files.delete(self._staging)  # what a job that was killed left
        found = fitted(self._record(number, ends), topic, number, ends)
        for message in found.messages:
            if message not in self._logged:
                log(message)
        self._logged = found.messages
        record = found.record
        ranges = next_batch(record, ends, 4 * config.scoring.max_offsets_per_trigger)
        if not ranges:
            if found.messages:
                self._save(record)
            return Progress(record, ends, True)
        untils = {p: until for p, (_, until) in ranges.items()}
        self._save(record.model_copy(update={"writing": untils}))
        try:
            last = self._write(record, ranges)
        finally:
            files.delete(self._staging)  # where the disk is full, others need the room
        offsets = {**record.offsets, **untils}
        record = record.model_copy(update={"offsets": offsets, "writing": None, "last": last})
        self._save(record)
        return Progress(record, ends, not next_batch(record, ends, 1))

    def _excluded_now(self) -> Excluded:
        """Of whom nothing is archived. While the store is away nobody can withdraw, so that its last answer holds."""
        try:
            with session(self._config, read_only=True) as connection:
                self._excluded = excluded(connection)
        except StoreUnavailableError:
            if self._excluded is None:
                raise
        return self._excluded

    def _save(self, record: Archived) -> None:
        self._files.write(f"{self._root}/{RECORD}", record.encoded())

    def _record(self, number: str | None, ends: Ends) -> Archived:
        """The record as it is, or made of what is there: the checkpoint of a former version, or files.

        It is read for each batch: where the folder was removed, the archive begins with what Kafka has.
        """
        files, root = self._files, self._root
        record = load_record(files, root)
        if record is None:
            former = (
                former_offsets(files, root, self._former_checkpoint) if day_folders(files, root) else None
            )
            record = new_record(number, ends)
            known = archived_by_name(files, root, record.series)
            record = record.model_copy(update={"offsets": {**(former or record.offsets), **known}})
            self._save(record)
            self._adopt()
        elif not self._checked:
            before, record = record, checked(files, root, record)
            if record is not before:
                log(f"files of the last batch are missing from the archive {root}: they are written again")
            self._adopt()
        self._checked = True
        return record

    def _adopt(self) -> None:
        """Set aside the list and the checkpoint of a former version, for other programs that read the folder: the list
        would hide new files from Spark, and broken files would stop whoever does not know the list."""
        files, root = self._files, self._root
        if OLD_LOG in files.names(root):
            logged = logged_names(files, root)
            for folder in day_folders(files, root):
                for name in unfinished(files, folder, files.names(folder), logged):
                    files.move(f"{folder}/{name}", f"{folder}/_unfinished-{name}")
        for place in (f"{root}/{OLD_LOG}", self._former_checkpoint):
            if aside := set_aside(self._spark, place):
                log(
                    f"the archive has a record of its own now; that of a former version was set aside as {aside}"
                )

    def _write(self, record: Archived, ranges: dict[int, tuple[int, int]]) -> dict[str, list[str]]:
        """Write a batch beside the archive and rename it into it; folder -> its files."""
        config, files = self._config, self._files
        topic, staging = config.kafka.topic, self._staging
        first, until = ({p: pair[side] for p, pair in ranges.items()} for side in (0, 1))
        options = spark_kafka_options(config) | {
            "assign": json.dumps({topic: sorted(ranges)}),
            "startingOffsets": offsets_json(topic, first),
            "endingOffsets": offsets_json(topic, until),
            "failOnDataLoss": "true",
            "kafka.isolation.level": config.kafka.isolation_level,
            # one group for all batches: the workers keep their consumers
            "kafka.group.id": f"spark-kafka-source-archive-{topic}",
            "kafka.max.partition.fetch.bytes": str(16 << 20),
            "kafka.receive.buffer.bytes": str(4 << 20),
        }
        read = self._spark.read.format("kafka").options(**options).load()
        messages = read.select("key", "value", *MESSAGE_COLUMNS)
        if shut := self._excluded_now():
            taken = partial(_without_excluded, excluded=shut, config=config)
            messages = messages.mapInArrow(taken, _MESSAGES)
        placed = messages.withColumns(
            {
                "topic_id": F.lit(record.topic_id).cast("string"),
                "date": F.to_date("timestamp"),
                "of": F.col("partition"),
            }
        )
        writer = placed.write.partitionBy("date", "of").options(**_WRITING)
        writer.mode("append").parquet(staging)
        written: dict[str, list[str]] = {}
        for folder in files.names(staging):
            for of in files.names(f"{staging}/{folder}") if folder.startswith("date=") else ():
                partition = int(of.removeprefix("of="))
                part = Range(partition, *ranges[partition], record.series)
                made = [n for n in files.names(f"{staging}/{folder}/{of}") if n.endswith(".parquet")]
                for number, name in enumerate(n for n in made if n[0] not in "._"):
                    target = file_name(part, number)
                    files.move(f"{staging}/{folder}/{of}/{name}", f"{self._root}/{folder}/{target}")
                    written.setdefault(folder, []).append(target)
        return written


def _without_excluded(
    batches: Iterator[pa.RecordBatch], excluded: Excluded, config: Settings
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield without_excluded(batch, excluded, config.telemetry)


def read(spark: SparkSession, config: Settings, since: date | None, until: date | None) -> DataFrame:
    """Archived messages (value, MESSAGE_COLUMNS and topic_id, where it is known), each once; dates inclusive.

    A message that stands there twice (from a former version and from this one, or again after a lost record) has the
    same place, time and value, and the same topic id as far as it is known. Raises DataError where nothing has been
    archived yet.
    """
    if not day_folders(HadoopFiles(spark), archive_path(config)):
        root = archive_path(config)
        raise DataError(f"there is no archive at {root} yet; `activity score` writes it as it runs")
    return (
        as_stored(spark, config, since, until)
        .groupBy("partition", "offset", "timestamp", F.xxhash64("value"))
        .agg(
            F.first("value").alias("value"),
            F.coalesce(F.first("timestampType"), F.lit(0)).alias("timestampType"),
            F.collect_set("topic_id").alias("topics"),
        )
        .select("value", *MESSAGE_COLUMNS, F.explode_outer("topics").alias("topic_id"))
    )


def as_stored(spark: SparkSession, config: Settings, since: date | None, until: date | None) -> DataFrame:
    """The same, with those twice that stand there twice: for who takes each reading once."""
    files, root = HadoopFiles(spark), archive_path(config)
    days = message_files(files, root, since, until)
    # by their folders where all of their files are good: a folder has some thousand files
    paths = [path for day in days for path in ([day.folder] if day.all_of_them else day.paths)]
    if not paths:
        return spark.createDataFrame([], _SCHEMA).select("value", *MESSAGE_COLUMNS, "topic_id")
    # basePath: a single date would be read without its parent, and the list of former versions be followed
    messages = spark.read.schema(_SCHEMA).option("basePath", root).parquet(*paths)
    return messages.select("value", *MESSAGE_COLUMNS, "topic_id")
