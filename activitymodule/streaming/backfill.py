"""Backfill: scores windows for which the archive has more readings than the store.

Readings that came later than the watermark, or while the job was down longer than the broker keeps messages, are in
the archive and not in the store. This job scores them by the same path as the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from activitymodule.errors import ModelError
from activitymodule.settings import Settings
from activitymodule.store.connection import transact
from activitymodule.store.smoothing import refresh_smoothed
from activitymodule.store.telling import Teller
from activitymodule.streaming import archive, worker
from activitymodule.streaming.causes import cause_of, raise_returned
from activitymodule.streaming.champion import ChampionWatch, record_versions
from activitymodule.streaming.windowing import panes_of, windows_of

BACKFILL_BATCH = -1  # batch_id of rows that no batch of the stream wrote


@dataclass(frozen=True)
class BackfillReport:
    """Counts of a backfill."""

    windows_in_archive: int
    windows_scored: int
    rows_written: int
    model_version: str


def backfill(
    spark: SparkSession,
    config: Settings,
    *,
    since: date | None = None,
    until: date | None = None,
    devices: Sequence[str] = (),
    again: bool = False,
) -> BackfillReport:
    """Score the windows that the store lacks; dates (UTC, inclusive) are those of the messages' arrival.

    devices : only windows of these watches; all, where none is named
    again : score the windows that the store has, too, such as after the model of a watch was set
    Raises DataError without an archive, ModelError without a champion.
    """
    serving = ChampionWatch(config, partial(record_versions, config)).refresh()
    if serving is None:
        raise ModelError("there is no champion to score with; train one with `activity train`")
    messages = archive.read(spark, config, since, until)
    panes = panes_of(messages, config)
    if devices:
        panes = panes.filter(panes.device_id.isin(*devices))
    scorer = worker.Scorer(
        config,
        spark.sparkContext.broadcast(serving.bundle),
        serving.classifier.version,
        BACKFILL_BATCH,
        calibrations=serving.calibrations,
        past=True,
    )
    started = datetime.now(UTC)
    scored = windows_of(panes, config).mapInArrow(
        partial(worker.score_missing, scorer=scorer, again=again), worker.BACKFILL_SCHEMA
    )
    try:
        counts = scored.collect()
    except PySparkException as error:
        raise cause_of(error) from error
    raise_returned(row["error"] for row in counts)
    transact(
        config,
        lambda connection: refresh_smoothed(
            connection,
            batch_id=BACKFILL_BATCH,
            scoring=config.scoring,
            since=started,
            teller=Teller.of(config),
        ),
    )
    return BackfillReport(
        windows_in_archive=sum(row["seen"] for row in counts),
        windows_scored=sum(row["windows"] for row in counts),
        rows_written=sum(row["written"] for row in counts),
        model_version=serving.classifier.version,
    )
