"""Backfill: windows for which the archive holds more readings than the store are scored from the archive.

What came later than the watermark, or while the job was down longer than the broker keeps messages, is in the
archive and not in the store. This job finds it and scores it by the same path as the stream.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from activitymodule.errors import ModelError
from activitymodule.settings import Settings
from activitymodule.store.connection import connect
from activitymodule.store.smoothing import refresh_smoothed
from activitymodule.streaming import archive, worker
from activitymodule.streaming.champion import ChampionWatch, record_versions
from activitymodule.streaming.messages import MESSAGE_COLUMNS, with_newline
from activitymodule.streaming.score import windows_of
from activitymodule.windows.grouping import SPARK_PANES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BACKFILL_BATCH = -1  # batch_id of rows that no batch of the stream wrote


@dataclass(frozen=True)
class BackfillReport:
    """What a backfill saw and did."""

    windows_in_archive: int
    windows_scored: int
    rows_written: int
    model_version: str

    def as_dict(self) -> dict[str, int | str]:
        return asdict(self)


def backfill(
    spark: SparkSession, settings: Settings, *, since: date | None = None, until: date | None = None
) -> BackfillReport:
    """Score what the store lacks; dates (UTC, inclusive) are those of the messages' arrival.

    Raises DataError without an archive, ModelError without a champion.
    """
    serving = ChampionWatch(settings, partial(record_versions, settings)).refresh()
    if serving is None:
        raise ModelError("there is no champion to score with; train one with `activity train`")
    messages = archive.read(spark, settings, since, until)
    messages = messages.select(with_newline(), *MESSAGE_COLUMNS)
    panes = messages.mapInArrow(partial(worker.decode, settings=settings), SPARK_PANES)
    scorer = worker.Scorer(
        settings, spark.sparkContext.broadcast(serving.bundle), serving.classifier.version, BACKFILL_BATCH
    )
    started = datetime.now(UTC)
    counts = (
        windows_of(panes, settings)
        .mapInArrow(partial(worker.score_missing, scorer=scorer), worker.BACKFILL_SCHEMA)
        .collect()
    )
    connection = connect(settings)
    with connection:
        refresh_smoothed(connection, batch_id=BACKFILL_BATCH, scoring=settings.scoring, since=started)
    connection.close()
    return BackfillReport(
        windows_in_archive=sum(row["seen"] for row in counts),
        windows_scored=sum(row["windows"] for row in counts),
        rows_written=sum(row["written"] for row in counts),
        model_version=serving.classifier.version,
    )
