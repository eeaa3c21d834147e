"""A query's checkpoint folder: what it has read, of which topic, and setting it aside."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from pyspark.sql import SparkSession

from activitymodule.errors import ActivityError, ServiceUnavailableError
from activitymodule.settings import Settings, location
from activitymodule.streaming.hadoop_files import HadoopFiles
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


def read_checkpoint(spark: SparkSession, path: str) -> Checkpoint:
    """The checkpoint at `path`, of a query on one topic."""
    files = HadoopFiles(spark)

    def text(name: str) -> str | None:
        file = f"{path}/{name}"
        return files.read(file).decode() if files.exists(file) else None

    topic = text(_TOPIC)
    topic_id = json.loads(topic)["topic_id"] if topic else None
    metadata = text("metadata")
    if metadata is None:
        return Checkpoint(path, None, False, topic_id=topic_id)
    last = max((int(name) for name in files.names(f"{path}/commits") if name.isdecimal()), default=None)
    # before the first commit: where the query began
    offsets = text("sources/0/0" if last is None else f"offsets/{last}")
    position = only_offsets(offsets.strip().splitlines()[-1]) if offsets else None
    return Checkpoint(path, json.loads(metadata)["id"], last is not None, position, topic_id)


def note_topic(spark: SparkSession, path: str, topic_id: str) -> None:
    """Note in the checkpoint, before its query starts, which topic it reads."""
    HadoopFiles(spark).create(f"{path}/{_TOPIC}", json.dumps({"topic_id": topic_id}).encode())


def set_aside(spark: SparkSession, path: str) -> str | None:
    """Rename a checkpoint; returns the new name, or None where there was none."""
    files = HadoopFiles(spark)
    if not files.exists(path):
        return None
    aside, at = "", time.time()
    while not aside or files.exists(aside):
        aside = f"{path}.set-aside-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(at))}"
        at += 1  # another one of this second is there
    try:
        files.move(path, aside)
    except ServiceUnavailableError as error:
        raise ActivityError(
            f"the checkpoint {path} could not be renamed to {aside}; nothing was changed"
        ) from error
    return aside
