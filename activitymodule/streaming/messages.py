"""Messages of the topic as Spark columns: what the stream, the archive and the backfill share."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from activitymodule.kafka.clients import spark_kafka_options
from activitymodule.settings import Settings

MESSAGE_COLUMNS = ("partition", "offset", "timestamp", "timestampType")
"""Place of a message in the topic, time of arrival, and whose clock that is (Kafka's timestampType)."""


def with_newline() -> Column:
    """`value` with a newline appended: the memory of a batch of such values is NDJSON."""
    return F.concat("value", F.lit(b"\n")).alias("value")


def kafka_messages(
    spark: SparkSession, config: Settings, *, starting: str, fail_on_loss: bool, at_most: int
) -> DataFrame:
    """The topic as a stream: key, value and MESSAGE_COLUMNS, at most so many messages a batch."""
    return (
        spark.readStream.format("kafka")
        .options(**spark_kafka_options(config))
        .option("subscribe", config.kafka.topic)
        .option("startingOffsets", starting)
        .option("failOnDataLoss", str(fail_on_loss).lower())
        .option("maxOffsetsPerTrigger", at_most)
        .option("kafka.isolation.level", config.kafka.isolation_level)
        .option("minPartitions", config.scoring.min_partitions)
        # a poll that finds little returns at once: the wait of half a second would be all of the latency
        .option("kafka.fetch.max.wait.ms", "10")
        # a backlog is read in large pieces
        .option("kafka.max.partition.fetch.bytes", str(16 << 20))
        .option("kafka.receive.buffer.bytes", str(4 << 20))
        .option("kafka.max.poll.records", "20000")
        .load()
    )
