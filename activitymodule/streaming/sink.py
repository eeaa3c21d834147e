"""What happens to one batch of windows: they are scored, stored, smoothed and marked for the annotation queue.

Every step may run twice without harm: rows are keyed by watch and window, and a batch that is replayed is scored by
the model versions with which it began.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession

from activitymodule.errors import ActivityError
from activitymodule.models.bundle import BundleBytes
from activitymodule.settings import Settings
from activitymodule.store.batches import BatchRecord, begin_batch, mark_written
from activitymodule.store.connection import Connection
from activitymodule.store.participants import excluded
from activitymodule.streaming import worker
from activitymodule.streaming.causes import raise_returned
from activitymodule.streaming.champion import Champion, ChampionWatch
from activitymodule.streaming.connections import KeptConnection
from activitymodule.streaming.offsets import offset_ranges, progress_offsets
from activitymodule.streaming.pace import Pace
from activitymodule.streaming.queue.marks import Marking, marks_of
from activitymodule.streaming.queue.selection import QueueSelector
from activitymodule.streaming.resuming import Start
from activitymodule.streaming.scoring_task import Batch, ScoringTask
from activitymodule.streaming.smoother import Smoother
from activitymodule.telemetry.excluded import Excluded

QUERY = "score"
"""Name of the query, and of its checkpoint."""

# for a batch: whether its plan becomes a program, and whether each task's projections do
_COMPILED = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
_INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
_SMALL = 10_000  # messages: a batch of so many takes as long either way


class BatchSink:
    """`begins` sets what the query reads, `write` is its foreachBatch. windows, batches : what was scored so far."""

    def __init__(
        self,
        config: Settings,
        spark: SparkSession,
        champion: ChampionWatch,
        connection: KeptConnection,
        queue: QueueSelector,
        pace: Pace,
    ) -> None:
        self._config = config
        self._spark = spark
        self._champion = champion
        self._connection = connection
        self._queue = queue
        self._pace = pace
        self._broadcast: tuple[str, Broadcast[BundleBytes]] | None = None
        self._task: tuple[Champion, Excluded, ScoringTask] | None = None
        self.smoother = Smoother(config)
        self._start = Start("", {}, None)
        self._query: tuple[str, Any] | None = None  # its id and Java's StreamExecution
        self._compiles = True  # whether Spark compiles its plans
        self.windows = 0
        self.batches = 0

    def begins(self, start: Start) -> None:
        """A query is about to start here."""
        self._start = start
        self._query = None
        self._compiles = True

    def write(self, windows: DataFrame, batch_id: int) -> None:
        """Score one batch. Smoothing and the queue's transaction run beside the next batch.

        Returns when the next batch is to begin: Spark knows no time between batches that changes.
        """
        began = time.time()
        query_id, offsets, late_before_us = self._identity()
        self._plan_next(windows.sparkSession, sum(until - begin for begin, until in offsets.values()))
        serving = self._champion.current
        assert serving is not None
        record, marking, shut = self._connection.run(
            self._config, partial(self._begin, query_id, batch_id, offsets, serving)
        )
        serving = self._begun_with(record, serving)
        counts = self._task_of(serving, shut).run(windows, Batch(batch_id, query_id, marking, late_before_us))
        raise_returned(row["error"] for row in counts)
        self._connection.run(self._config, partial(mark_written, query_id=query_id, batch_id=batch_id))
        count = sum(row["windows"] for row in counts)
        marks = marks_of(counts) if marking else []
        self.smoother.finish(
            query_id=query_id,
            batch_id=batch_id,
            windows=count,
            since=record.started_at,
            also=self._queue.collect(record, marks, serving.model),
        )
        self.windows += count
        self.batches += 1
        self._pace.pause(began)

    def close(self) -> None:
        """Wait for the last batch's smoothing, whatever came of it, and end its thread."""
        self.smoother.forget()
        self.smoother.close()

    def _begin(
        self,
        query_id: str,
        batch_id: int,
        offsets: dict[int, tuple[int, int]],
        serving: Champion,
        connection: Connection,
    ) -> tuple[BatchRecord, Marking | None, Excluded]:
        """Record the batch as begun; how it is to be marked, and of whom nothing is taken."""
        try:
            record = begin_batch(
                connection,
                query_id=query_id,
                batch_id=batch_id,
                topic=self._config.kafka.topic,
                topic_id=self._start.topic_id,
                offsets=offsets,
                model_version=serving.classifier.version,
                energy_version=serving.regressor.version if serving.regressor else None,
            )
            marking = self._queue.marking(connection, record)
            shut = excluded(connection)
            connection.commit()
        except BaseException:
            self._queue.forget()  # what it knows of this transaction was not stored
            raise
        return record, marking, shut

    def _begun_with(self, record: BatchRecord, serving: Champion) -> Champion:
        """The champion that a batch is scored with: a batch begun before a restart by another version ends with it."""
        if record.model_version in (None, serving.classifier.version):
            return serving
        assert record.model_version is not None
        return self._champion.load_version(record.model_version, record.energy_version)

    def _plan_next(self, session: SparkSession, messages: int) -> None:
        """Have Spark compile the next batch's plan only after a large batch: for a small one that takes longer than it
        saves. Batches of a live stream are alike."""
        compiles = messages > _SMALL
        if compiles != self._compiles:
            for key, value in (_COMPILED if compiles else _INTERPRETED).items():
                if key not in self._config.spark.options:
                    session.conf.set(key, value)
            self._compiles = compiles

    def _identity(self) -> tuple[str, dict[int, tuple[int, int]], int]:
        """The query's id; this batch's offsets, partition -> (from, until), as Spark is about to commit them; its
        watermark, UTC microseconds: Spark drops late readings by this one or by that of the batch before."""
        query_id, execution = self._query = self._query or self._find_query()
        topic = self._config.kafka.topic
        offsets = offset_ranges(
            progress_offsets(execution.committedOffsets(), topic) or self._start.begins,
            progress_offsets(execution.availableOffsets(), topic),
        )
        return query_id, offsets, 1000 * int(execution.lastExecution().offsetSeqMetadata().batchWatermarkMs())

    def _find_query(self) -> tuple[str, Any]:
        for query in self._spark.streams.active:
            if query.name == QUERY:
                return query.id, query._jsq.streamingQuery()
        raise ActivityError("the query ended while its batch was about to begin")

    def _task_of(self, serving: Champion, shut: Excluded) -> ScoringTask:
        """The task that scores with this champion; the last one is kept."""
        if self._task is None or self._task[0] is not serving or self._task[1] != shut:
            scorer = worker.Scorer(
                self._config,
                self._broadcast_of(serving),
                serving.classifier.version,
                batch_id=-1,
                calibrations=serving.calibrations,
                excluded=shut,
            )
            self._task = (serving, shut, ScoringTask(scorer))
        return self._task[2]

    def _broadcast_of(self, serving: Champion) -> Broadcast[BundleBytes]:
        key = serving.bundle.key
        if self._broadcast is None or self._broadcast[0] != key:
            self._broadcast = (key, self._spark.sparkContext.broadcast(serving.bundle))
        return self._broadcast[1]
