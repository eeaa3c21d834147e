"""The archive: raw messages of the topic as Parquet by date, from which everything else can be computed again.

A second query of the scoring job writes it. The date is that of the message's arrival (UTC). Partition and offset
identify a message, so a reader gets each once even where a lost checkpoint wrote some of them twice.
"""

from __future__ import annotations

from datetime import date

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from activitymodule.errors import DataError
from activitymodule.lake.archive import archive_path
from activitymodule.settings import Settings
from activitymodule.streaming.checkpoint import checkpoint_path
from activitymodule.streaming.messages import MESSAGE_COLUMNS, kafka_messages


def start(spark: SparkSession, config: Settings, *, once: bool, fail_on_loss: bool) -> StreamingQuery:
    """Start the archive query; it shares the session, and the stop, of the scoring job."""
    messages = kafka_messages(
        spark,
        config,
        starting="earliest",
        fail_on_loss=fail_on_loss,
        at_most=4 * config.scoring.max_offsets_per_trigger,
    ).select("key", "value", *MESSAGE_COLUMNS, F.to_date("timestamp").alias("date"))
    writer = (
        messages.writeStream.queryName("archive")
        .format("parquet")
        .partitionBy("date")
        .option("compression", "zstd")
        .option("checkpointLocation", checkpoint_path(config, "archive"))
    )
    if once:
        writer = writer.trigger(availableNow=True)
    else:
        writer = writer.trigger(processingTime=f"{config.archive.interval_seconds} seconds")
    return writer.start(archive_path(config))


def read(spark: SparkSession, config: Settings, since: date | None, until: date | None) -> DataFrame:
    """Archived messages (value, partition, offset, timestamp), each once; dates inclusive.

    Raises DataError where nothing has been archived yet.
    """
    path = archive_path(config)
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
