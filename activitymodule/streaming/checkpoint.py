"""A query's checkpoint folder: what it has read, of which topic, and setting it aside."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from activitymodule.errors import ActivityError
from activitymodule.settings import Settings, location
from activitymodule.streaming.offsets import only_offsets

_TOPIC = "topic.json"
"""Written by us into a checkpoint; Spark leaves it alone."""


@dataclass(frozen=True)
class Checkpoint:
    """A query's checkpoint folder as Hadoop's file systems see it (local, s3, gs alike)."""

    path: str
    query_id: str | None  # None: there is no checkpoint yet
    committed: bool  # whether any batch was committed under it
    position: dict[int, int] | None = (
        None  # partition -> where its next batch begins; None: nothing is planned
    )
    topic_id: str | None = None  # Kafka's, as noted by note_topic


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


def _read(spark: SparkSession, path: str) -> str | None:
    """The text of a file; None where there is none."""
    files, file = _file_system(spark, path)
    if not files.exists(file):
        return None
    stream = files.open(file)
    try:
        return str(_jvm(spark).org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
    finally:
        stream.close()


def _last(spark: SparkSession, path: str) -> int | None:
    """The highest number that is the name of a file in a folder."""
    files, folder = _file_system(spark, path)
    if not files.exists(folder):
        return None
    names = [status.getPath().getName() for status in files.listStatus(folder)]
    return max((int(name) for name in names if name.isdecimal()), default=None)


def read_checkpoint(spark: SparkSession, path: str) -> Checkpoint:
    """The checkpoint at `path`, of a query on one topic."""
    topic = _read(spark, f"{path}/{_TOPIC}")
    topic_id = json.loads(topic)["topic_id"] if topic else None
    metadata = _read(spark, path + "/metadata")
    if metadata is None:
        return Checkpoint(path, None, False, topic_id=topic_id)
    last = _last(spark, path + "/commits")
    # before the first commit: where the query began
    offsets = _read(spark, path + ("/sources/0/0" if last is None else f"/offsets/{last}"))
    position = only_offsets(offsets.strip().splitlines()[-1]) if offsets else None
    return Checkpoint(path, json.loads(metadata)["id"], last is not None, position, topic_id)


def note_topic(spark: SparkSession, path: str, topic_id: str) -> None:
    """Note in the checkpoint, before its query starts, which topic it reads."""
    files, file = _file_system(spark, f"{path}/{_TOPIC}")
    stream = files.create(file, True)
    try:
        stream.write(json.dumps({"topic_id": topic_id}).encode())
    finally:
        stream.close()


def set_aside(spark: SparkSession, path: str) -> str | None:
    """Rename a checkpoint; returns the new name, or None where there was none."""
    files, old = _file_system(spark, path)
    if not files.exists(old):
        return None
    aside, at = "", time.time()
    while not aside or files.exists(_file_system(spark, aside)[1]):
        aside = f"{path}.set-aside-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(at))}"
        at += 1  # another one of this second is there
    if not files.rename(old, _jvm(spark).org.apache.hadoop.fs.Path(aside)):
        raise ActivityError(f"the checkpoint {path} could not be renamed to {aside}; nothing was changed")
    return aside
