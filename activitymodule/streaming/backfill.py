"""Backfill: scores windows for which the archive has more readings than the store.

Readings that came later than the watermark, or while the job was down longer than the broker keeps messages, are in
the archive and not in the store. This job scores them by the same path as the stream: the scorer itself does so with
late windows (late.py), `activity backfill` with all that are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from itertools import pairwise

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from activitymodule.errors import ModelError
from activitymodule.settings import Settings
from activitymodule.store.batches import BatchRecord
from activitymodule.store.connection import Connection, transact
from activitymodule.store.late import Waiting, forget_late, waiting_late
from activitymodule.store.queries import store_clock
from activitymodule.store.smoothing import refresh_smoothed
from activitymodule.store.telling import Teller
from activitymodule.streaming import archive, missing, worker
from activitymodule.streaming.causes import cause_of, raise_returned
from activitymodule.streaming.champion import Champion, ChampionWatch, record_versions
from activitymodule.streaming.queue.marks import Marking, marks_of
from activitymodule.streaming.queue.selection import QueueSelector
from activitymodule.streaming.windowing import panes_of, windows_of
from activitymodule.windows.grouping import WINDOWS_SCHEMA

_CLOSE_US = 60_000_000
_MOST_SPANS = 50
BACKFILL_BATCH = -1  # batch_id of rows that no batch of the stream wrote


@dataclass(frozen=True)
class BackfillReport:
    """Counts of a backfill. windows_offered : to the annotation queue, which late windows alone are"""

    windows_in_archive: int
    windows_scored: int
    rows_written: int
    model_version: str
    windows_offered: int = 0


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
    return _scored(config, windows_of(panes, config), serving, again=again)


def backfill_late(
    spark: SparkSession,
    config: Settings,
    serving: Champion,
    queue: QueueSelector,
    *,
    at_most: int = 20_000,
) -> BackfillReport | None:
    """Score windows with readings that came later than the watermark; None where none waits that is archived.

    Only those messages of the archive are read that arrived while readings of such windows did. The windows are no
    longer noted once they are scored, smoothed and offered to the queue: what is broken off is done again, and changes
    nothing then.
    queue : of this round alone (QueueSelector.for_late); at_most : windows at once
    """
    topic = config.kafka.topic
    waiting = transact(config, partial(waiting_late, topic=topic, limit=at_most))
    if not waiting:
        return None
    spans = _arrivals(waiting, round(config.telemetry.future_seconds * 1e6))
    days = [datetime.fromtimestamp(us // 1_000_000, UTC).date() for us in (spans[0][0], spans[-1][1])]
    arrived = " OR ".join(
        f"timestamp BETWEEN timestamp_micros({first}) AND timestamp_micros({until})" for first, until in spans
    )
    messages = (
        archive.read(spark, config, *days).filter(arrived).coalesce(1)
    )  # the other cores are the stream's
    keys = F.broadcast(
        spark.createDataFrame(
            [(one.window.device_id, one.window.window_us) for one in waiting],
            "device_id string, window_us long",
        )
    )
    panes = panes_of(messages, config).join(keys.select("device_id").distinct(), "device_id", "left_semi")
    windows = windows_of(panes, config).join(keys, ["device_id", "window_us"], "left_semi")
    return _scored(config, windows.select(*WINDOWS_SCHEMA.names), serving, late=_Late(waiting, queue))


@dataclass(frozen=True)
class _Late:
    """The late windows of a round, and what offers them to the annotation queue."""

    windows: Sequence[Waiting]
    queue: QueueSelector


def _arrivals(waiting: Sequence[Waiting], ahead_us: int) -> list[tuple[int, int]]:
    """When messages of these windows arrived: (from, until), in order, joined where they lie close together."""
    joined: list[tuple[int, int]] = []
    for first, until in sorted(span for one in waiting for span in one.arrivals(ahead_us)):
        if joined and first <= joined[-1][1] + _CLOSE_US:
            joined[-1] = (joined[-1][0], max(joined[-1][1], until))
        else:
            joined.append((first, until))
    while len(joined) > _MOST_SPANS:
        gaps = [after[0] - before[1] for before, after in pairwise(joined)]
        k = gaps.index(min(gaps))
        joined[k : k + 2] = [(joined[k][0], joined[k + 1][1])]
    return joined


def _scored(
    config: Settings,
    windows: DataFrame,
    serving: Champion,
    *,
    again: bool = False,
    late: _Late | None = None,
) -> BackfillReport:
    """Score those of the windows that the store lacks, smooth them, and forget the late ones that are done by it."""
    version, topic = serving.classifier.version, config.kafka.topic

    def begin(connection: Connection) -> tuple[BatchRecord, Marking | None]:
        now = store_clock(connection)
        record = BatchRecord("", BACKFILL_BATCH, topic, {}, version, None, now, None, False)
        if late is None:
            return record, None
        late.queue.forget()  # what it knows of a transaction that is done again was not stored
        return record, late.queue.marking(connection, record)

    record, marking = transact(config, begin)
    bundle = windows.sparkSession.sparkContext.broadcast(serving.bundle)
    scorer = worker.Scorer(
        config,
        bundle,
        version,
        BACKFILL_BATCH,
        marking=marking,
        calibrations=serving.calibrations,
        past=True,
    )
    task = partial(missing.score_missing, scorer=scorer, again=again, late=late is not None)
    scored = windows.mapInArrow(task, missing.SCHEMA)
    try:
        counts = scored.collect()
    except PySparkException as error:
        raise cause_of(error) from error
    finally:
        bundle.unpersist()
    raise_returned(row["error"] for row in counts)
    marks = marks_of(counts) if marking else []
    offer = late.queue.collect(record, marks, serving.model) if late is not None else None

    def finish(connection: Connection) -> None:
        refresh_smoothed(
            connection,
            batch_id=BACKFILL_BATCH,
            scoring=config.scoring,
            since=record.started_at,
            teller=Teller.of(config),
        )
        if offer is not None:
            offer(connection)
        if late is not None:
            forget_late(connection, topic, late.windows)

    transact(config, finish)
    return BackfillReport(
        windows_in_archive=sum(row["seen"] for row in counts),
        windows_scored=sum(row["windows"] for row in counts),
        rows_written=sum(row["written"] for row in counts),
        model_version=version,
        windows_offered=sum(one.complete for one in marks),
    )
