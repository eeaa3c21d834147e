"""Messages to panes to windows as Spark frames: what the stream and the backfill share.

Spark groups panes in its state, as windows/grouping specifies it.
"""

from __future__ import annotations

from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from activitymodule.settings import Settings
from activitymodule.streaming import worker
from activitymodule.streaming.messages import MESSAGE_COLUMNS, with_newline
from activitymodule.streaming.scoring_task import late_before_us
from activitymodule.windows import grouping


def panes_of(
    messages: DataFrame, config: Settings, topic_id: str | None = None, *, note_late: bool = False
) -> DataFrame:
    """Messages (value and MESSAGE_COLUMNS) to panes (grouping.PANES_SCHEMA).

    topic_id : Kafka's, for dead letters; messages of several topics have a column of this name instead
    note_late : note windows with readings later than the watermark of the batch
    """
    late_before = late_before_us if note_late else None
    columns = [*MESSAGE_COLUMNS, *({"topic_id"} & set(messages.columns))]
    return messages.select(with_newline(), *columns).mapInArrow(
        partial(worker.decode, config=config, topic_id=topic_id, late_before=late_before),
        grouping.SPARK_PANES,
    )


def windows_of(panes: DataFrame, config: Settings) -> DataFrame:
    """Panes to windows (grouping.WINDOWS_SCHEMA)."""
    by_window = panes.groupBy("device_id", F.expr(grouping.spark_window(config.windows)))
    return by_window.agg(*map(F.expr, grouping.SPARK_AGGREGATES)).selectExpr(*grouping.SPARK_WINDOWS)
