"""Where the stream takes up its work: the checkpoint, or the store's own record of offsets where it is lost."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from activitymodule.errors import RefusedError, ServiceUnavailableError
from activitymodule.kafka.clients import offsets_before, topic_ends
from activitymodule.settings import Settings, location


@dataclass(frozen=True)
class Checkpoint:
    """A query's checkpoint folder as Hadoop's file systems see it (local, s3, gs alike)."""

    path: str
    query_id: str | None  # None: there is no checkpoint yet
    committed: bool  # whether any batch was committed under it


def checkpoint_path(config: Settings, name: str) -> str:
    """Folder of the checkpoint of one query on one topic."""
    return f"{location(config.spark.checkpoints)}/{name}-{config.kafka.topic}"


def _file_system(spark: Any, path: str) -> tuple[Any, Any]:
    jvm = spark.sparkContext._jvm
    hadoop_path = jvm.org.apache.hadoop.fs.Path(path)
    return hadoop_path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()), hadoop_path


def read_checkpoint(spark: Any, path: str) -> Checkpoint:
    """What stands at `path`."""
    jvm = spark.sparkContext._jvm
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


def set_aside(spark: Any, path: str) -> str | None:
    """Rename a checkpoint out of the way; the new name, or None where there was none."""
    files, old = _file_system(spark, path)
    if not files.exists(old):
        return None
    aside = f"{path}.set-aside-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    files.rename(old, spark.sparkContext._jvm.org.apache.hadoop.fs.Path(aside))
    return aside


def _json(topic: str, offsets: dict[int, int]) -> str:
    return json.dumps({topic: {str(number): offset for number, offset in sorted(offsets.items())}})


@dataclass(frozen=True)
class Start:
    """Where a query without a checkpoint starts, and the sentence that says why (None: nothing to say)."""

    offsets: str
    why: str | None = None
    lost: dict[int, tuple[int, int]] | None = None  # partition -> unread offsets that the broker has deleted


def start_without_checkpoint(
    config: Settings, recorded: dict[int, int] | None, *, accept_data_loss: bool
) -> Start:
    """Starting offsets (Spark's JSON) for a query whose checkpoint is new or lost.

    `recorded` is what the store knows: partition -> offset after the last one of a finished batch. Reading starts
    again as much earlier as a window may stay open, so that open windows are built anew in full.
    Raises RefusedError where the broker no longer holds what was not read yet.
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
            f"the topic {topic} ends before what was read from it (partition {shrunk[0]}): it was made anew, or this "
            f"is another broker; name another topic, or start over with `activity score --forget-offsets`"
        )
    if lost and not accept_data_loss:
        raise RefusedError(loss_sentence(topic, lost))
    seconds = config.windows.watermark_minutes * 60 + config.windows.length_seconds
    known = {number: until for number, until in recorded.items() if number in ends}
    start = offsets_before(config, topic, known, seconds)
    start |= {number: first for number, (first, _) in ends.items() if number not in start}
    again = sum(known[number] - start[number] for number in known)
    return Start(
        _json(topic, start),
        f"the checkpoint is missing; resuming from the store's record of offsets and reading {again:,} messages "
        "again, so that windows that were open are whole",
        lost or None,
    )


def unread_and_gone(recorded: dict[int, int], ends: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Partition -> the offsets (from, until) that were not scored and that the broker no longer holds."""
    return {
        number: (until, ends[number][0])
        for number, until in recorded.items()
        if number in ends and ends[number][0] > until
    }


def loss_sentence(topic: str, lost: dict[int, tuple[int, int]]) -> str:
    """One sentence that says which messages are gone, and what to do."""
    count = sum(upto - first for first, upto in lost.values())
    parts = ", ".join(f"partition {n}: {first} to {upto - 1}" for n, (first, upto) in sorted(lost.items()))
    return (
        f"DATA LOSS: Kafka has deleted {count:,} messages of {topic} that were not scored yet ({parts}); score what "
        "the archive holds of them with `activity backfill`, and go on with `activity score --accept-data-loss`"
    )
