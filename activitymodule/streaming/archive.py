"""The raw messages of the topic as Parquet by date: what everything can be made from again.

A second query of the scoring job. The date is that of the message's arrival (UTC). A message is known by its
partition and offset, so that reading the archive is exact even where a lost checkpoint wrote some of it twice.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from activitymodule.errors import DataError
from activitymodule.settings import Settings, location
from activitymodule.streaming.checkpoint import checkpoint_path
from activitymodule.streaming.messages import MESSAGE_COLUMNS, kafka_messages

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery


def archive_path(settings: Settings) -> str:
    """Folder of one topic's archive."""
    return f"{location(settings.archive.folder)}/{settings.kafka.topic}"


def start(spark: SparkSession, settings: Settings, *, once: bool, fail_on_loss: bool) -> StreamingQuery:
    """Start the archive query; it shares the session, and the stop, of the scoring job."""
    from pyspark.sql import functions as F

    messages = kafka_messages(
        spark,
        settings,
        starting="earliest",
        fail_on_loss=fail_on_loss,
        at_most=4 * settings.scoring.max_offsets_per_trigger,
    ).select("key", "value", *MESSAGE_COLUMNS, F.to_date("timestamp").alias("date"))
    writer = (
        messages.writeStream.queryName("archive")
        .format("parquet")
        .partitionBy("date")
        .option("compression", "zstd")
        .option("checkpointLocation", checkpoint_path(settings, "archive"))
    )
    if once:
        writer = writer.trigger(availableNow=True)
    else:
        writer = writer.trigger(processingTime=f"{settings.archive.interval_seconds} seconds")
    return writer.start(archive_path(settings))


def read(spark: SparkSession, settings: Settings, since: date | None, until: date | None) -> DataFrame:
    """Archived messages (value, partition, offset, timestamp), each once; dates inclusive.

    Raises DataError where nothing has been archived yet.
    """
    from pyspark.errors import AnalysisException
    from pyspark.sql import functions as F

    path = archive_path(settings)
    try:
        messages = spark.read.parquet(path)
    except AnalysisException as error:
        raise DataError(
            f"there is no archive at {path} yet; `activity score` writes it as it runs"
        ) from error
    if since is not None:
        messages = messages.where(F.col("date") >= F.lit(since))
    if until is not None:
        messages = messages.where(F.col("date") <= F.lit(until))
    return messages.select("value", *MESSAGE_COLUMNS).dropDuplicates(["partition", "offset"])
