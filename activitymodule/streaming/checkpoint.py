"""Where the stream resumes: from its checkpoint, or from the store's record of offsets where that is lost."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from activitymodule.errors import RefusedError, ServiceUnavailableError
from activitymodule.kafka.clients import offsets_before, topic_ends
from activitymodule.settings import Settings, location
from activitymodule.streaming.offsets import offsets_json


@dataclass(frozen=True)
class Checkpoint:
    """A query's checkpoint folder as Hadoop's file systems see it (local, s3, gs alike)."""

    path: str
    query_id: str | None  # None: there is no checkpoint yet
    committed: bool  # whether any batch was committed under it


def checkpoint_path(config: Settings, name: str) -> str:
    """Folder of the checkpoint of one query on one topic."""
    return f"{location(config.spark.checkpoints)}/{name}-{config.kafka.topic}"


def _jvm(spark: SparkSession) -> Any:
    """The Java side of the session, by py4j."""
    return spark.sparkContext._jvm


def _file_system(spark: SparkSession, path: str) -> tuple[Any, Any]:
    jvm = _jvm(spark)
    hadoop_path = jvm.org.apache.hadoop.fs.Path(path)
    return hadoop_path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()), hadoop_path


def read_checkpoint(spark: SparkSession, path: str) -> Checkpoint:
    """The checkpoint at `path`."""
    jvm = _jvm(spark)
    files, _ = _file_system(spark, path)
    metadata = jvm.org.apache.hadoop.fs.Path(path + "/metadata")
    if not files.exists(metadata):
        return Checkpoint(path, None, False)
    stream = files.open(metadata)
    try:
        text = jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
    finally:
        stream.close()
    commits = jvm.org.apache.hadoop.fs.Path(path + "/commits")
    committed = files.exists(commits) and len(files.listStatus(commits)) > 0
    return Checkpoint(path, json.loads(text)["id"], committed)


def set_aside(spark: SparkSession, path: str) -> str | None:
    """Rename a checkpoint; returns the new name, or None where there was none."""
    files, old = _file_system(spark, path)
    if not files.exists(old):
        return None
    aside = f"{path}.set-aside-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    files.rename(old, _jvm(spark).org.apache.hadoop.fs.Path(aside))
    return aside


@dataclass(frozen=True)
class Start:
    """Where a query without a checkpoint starts, and a message that says why (None: the usual start)."""

    offsets: str
    why: str | None = None
    lost: dict[int, tuple[int, int]] | None = (
        None  # partition -> unscored offsets that the broker has deleted
    )


def start_without_checkpoint(
    config: Settings, recorded: dict[int, int] | None, *, accept_data_loss: bool
) -> Start:
    """Starting offsets (Spark's JSON) for a query whose checkpoint is new or lost.

    recorded : from the store, partition -> offset after the last one of a finished batch. Reading starts earlier by as
    long as a window may stay open, so that open windows are complete.
    Raises RefusedError where the broker has deleted unscored messages.
    """
    if recorded is None:
        return Start(config.scoring.starting_offsets)
    topic = config.kafka.topic
    ends = topic_ends(config, topic)
    if ends is None:
        raise ServiceUnavailableError(f"Kafka has no topic {topic}; make it with `activity topics create`")
    lost = unread_and_gone(recorded, ends)
    shrunk = [number for number, until in recorded.items() if number not in ends or ends[number][1] < until]
    if shrunk:
        raise RefusedError(
            f"the topic {topic} ends before the offsets read from it (partition {shrunk[0]}): it was deleted and "
            f"created again, or this is another broker; use another topic, or start over with "
            "`activity score --forget-offsets`"
        )
    if lost and not accept_data_loss:
        raise RefusedError(loss_sentence(topic, lost))
    seconds = config.windows.watermark_minutes * 60 + config.windows.length_seconds
    known = {number: until for number, until in recorded.items() if number in ends}
    start = offsets_before(config, topic, known, seconds)
    start |= {number: first for number, (first, _) in ends.items() if number not in start}
    again = sum(known[number] - start[number] for number in known)
    return Start(
        offsets_json(topic, start),
        f"the checkpoint is missing; resuming from the store's record of offsets and reading {again:,} messages "
        "again, so that open windows are complete",
        lost or None,
    )


def unread_and_gone(recorded: dict[int, int], ends: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Partition -> unscored offsets (from, until) that the broker has deleted."""
    return {
        number: (until, ends[number][0])
        for number, until in recorded.items()
        if number in ends and ends[number][0] > until
    }


def loss_sentence(topic: str, lost: dict[int, tuple[int, int]]) -> str:
    """Which messages were deleted, and what to do, as one sentence."""
    count = sum(upto - first for first, upto in lost.values())
    parts = ", ".join(f"partition {n}: {first} to {upto - 1}" for n, (first, upto) in sorted(lost.items()))
    return (
        f"DATA LOSS: Kafka has deleted {count:,} unscored messages of {topic} ({parts}); continue with `activity score "
        "--accept-data-loss`, then score the ones in the archive with `activity backfill`"
    )
