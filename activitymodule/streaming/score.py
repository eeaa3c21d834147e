"""The streaming job: readings from Kafka to predictions in the store.

messages -> (Arrow decode) panes -> (state) windows -> (features, champion) predictions -> COPY + upsert.
Every step may run twice without harm: rows are keyed by watch and window, dead letters by their place in the
topic, and a batch that is replayed is scored by the versions it was begun with.
"""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from activitymodule.errors import ActivityError, RefusedError, ServiceUnavailableError
from activitymodule.kafka.clients import reachable as broker_reachable
from activitymodule.kafka.clients import topic_ends
from activitymodule.settings import Settings
from activitymodule.store.batches import begin_batch, knows_query, last_offsets, record_late
from activitymodule.store.connection import Connection, connect, session
from activitymodule.store.connection import reachable as store_reachable
from activitymodule.store.drift import forget_minutes, merge_minutes
from activitymodule.store.locks import ScorerLease
from activitymodule.store.smoothing import refresh_unfinished
from activitymodule.streaming import archive, worker
from activitymodule.streaming.champion import Champion, ChampionWatch, record_versions
from activitymodule.streaming.checkpoint import (
    checkpoint_path,
    loss_sentence,
    read_checkpoint,
    set_aside,
    start_without_checkpoint,
    unread_and_gone,
)
from activitymodule.streaming.messages import MESSAGE_COLUMNS, kafka_messages, with_newline
from activitymodule.streaming.queueing import Marks, QueueKeeper
from activitymodule.streaming.session import details, spark_session
from activitymodule.streaming.smoother import Smoother
from activitymodule.streaming.waiting import Watchpoint, say
from activitymodule.windows import grouping

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

_TIDY_SECONDS = 60.0
_FAILURES_ALLOWED = 5  # in as many minutes, with every service there, before the job gives up


@dataclass(frozen=True)
class Options:
    """How one run of the job differs from the settings."""

    once: bool = False  # stop when everything that is there now has been scored
    seconds: float | None = None  # stop after so long
    accept_data_loss: bool = False
    set_checkpoint_aside: bool = False
    forget_offsets: bool = False
    archive: bool = True


def windows_of(panes: DataFrame, settings: Settings) -> DataFrame:
    """Panes to windows (grouping.WINDOWS_SCHEMA), as windows.grouping specifies it for Spark."""
    from pyspark.sql import functions as F

    by_window = panes.groupBy("device_id", F.expr(grouping.spark_window(settings.windows)))
    return by_window.agg(*map(F.expr, grouping.SPARK_AGGREGATES)).selectExpr(*grouping.SPARK_WINDOWS)


def _is_data_loss(message: str) -> bool:
    return "failOnDataLoss" in message or "KAFKA_DATA_LOSS" in message


class ScoringJob:
    """One run of the job on one topic; `run` returns when it is done or told to stop."""

    def __init__(self, settings: Settings, options: Options = Options()) -> None:
        self._settings = settings
        self._options = options
        self._stop = threading.Event()
        self._store = Watchpoint(
            f"PostgreSQL at {settings.store.host}:{settings.store.port}", lambda: store_reachable(settings)
        )
        self._broker = Watchpoint(
            f"Kafka at {settings.kafka.bootstrap_servers}", lambda: broker_reachable(settings)
        )
        self._champion = ChampionWatch(settings, partial(record_versions, settings))
        self._connection: Connection = None
        self._smoother = Smoother(settings)
        self._spark: SparkSession | None = None
        self._broadcast: tuple[tuple[str, str | None], Any] | None = None
        self._query: StreamingQuery | None = None
        self._queue = QueueKeeper(settings, eager=options.once)
        self._failures: deque[float] = deque()
        self._next_tidy = time.monotonic() + _TIDY_SECONDS
        self._first_offsets: dict[int, int] = {}
        self._progress_seen = -1
        self._lost_accepted = options.accept_data_loss
        self.windows = 0
        self.batches = 0
        self.dropped_late = 0

    # ---- life -------------------------------------------------------------------------------------------

    def stop(self, *_: Any) -> None:
        """Ask the job to end; safe from a signal handler and from other threads."""
        self._stop.set()

    def run(self) -> None:
        """Score until told to stop. Raises RefusedError where a second scorer runs on the topic, where unread
        messages are gone, or where checkpoint and store do not belong together."""
        settings = self._settings
        self._take_signals()
        if not self._store.wait(self._stop.is_set):
            return
        with ScorerLease(settings, settings.kafka.topic) as lease:
            self._lease = lease
            if not (self._wait_for_topic() and self._wait_for_champion()):
                return
            self._spark = spark_session(settings, f"score-{settings.kafka.topic}", scoring=True)
            self._take_signals()
            self._champion.start()
            deadline = time.monotonic() + self._options.seconds if self._options.seconds else None
            try:
                while not self._stop.is_set():
                    try:
                        self._start_queries()
                        if self._until_stopped(deadline):
                            return
                    except Exception as error:
                        self._recover(error)
            finally:
                self._champion.stop()
                self._stop_queries()
                self._smoother.forget()
                self._smoother.close()
                self._close_connection()

    def _take_signals(self) -> None:
        # once more after Spark has started: it installs handlers of its own
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self.stop)
            signal.signal(signal.SIGTERM, self.stop)

    def _wait_for_topic(self) -> bool:
        topic = self._settings.kafka.topic
        said = False
        while not self._stop.is_set():
            if self._broker.wait(self._stop.is_set):
                try:
                    if topic_ends(self._settings, topic) is not None:
                        return True
                except ServiceUnavailableError:
                    continue
                if not said:
                    say(
                        f"there is no topic {topic} yet; waiting for it (make it with `activity topics create`)"
                    )
                    said = True
            self._stop.wait(1)
        return False

    def _wait_for_champion(self) -> bool:
        said: str | None = None
        while not self._stop.is_set():
            try:
                if self._champion.refresh() is not None:
                    return True
                sentence = "there is no champion yet; waiting for one (train it with `activity train`)"
            except ServiceUnavailableError as error:
                sentence = f"{error}; waiting for it"
            if sentence != said:
                say(sentence)
                said = sentence
            self._stop.wait(self._settings.registry.poll_seconds)
        return False

    # ---- queries ----------------------------------------------------------------------------------------

    def _start_queries(self) -> None:
        spark, settings = self._spark, self._settings
        assert spark is not None
        # a scorer that died between writing its rows and smoothing them left them unsmoothed
        refresh_unfinished(self._driver(), settings.kafka.topic, settings.scoring)
        self._driver().commit()
        path = checkpoint_path(settings, "score")
        if self._options.set_checkpoint_aside and self._query is None:
            aside = set_aside(spark, path)
            if aside:
                say(f"the checkpoint was set aside as {aside}")
        checkpoint = read_checkpoint(spark, path)
        recorded = (
            None if self._options.forget_offsets else last_offsets(self._driver(), settings.kafka.topic)
        )
        # a first batch whose last word to the store was cut off is begun and not finished there
        known = recorded is not None or (
            checkpoint.query_id is not None and knows_query(self._driver(), checkpoint.query_id)
        )
        self._driver().commit()
        starting: str = settings.scoring.starting_offsets
        if checkpoint.query_id is None:
            start = start_without_checkpoint(settings, recorded, accept_data_loss=self._lost_accepted)
            starting = start.offsets
            if start.lost:
                say(loss_sentence(settings.kafka.topic, start.lost) + " (accepted)")
            if start.why:
                say(start.why)
        elif checkpoint.committed and not known and not self._options.forget_offsets:
            raise RefusedError(
                f"the checkpoint {path} goes on from batches this store knows nothing of (a new or another "
                f"database); score the topic from its start with `activity score --set-checkpoint-aside`"
            )
        messages = kafka_messages(
            spark,
            settings,
            starting=starting,
            fail_on_loss=not self._lost_accepted,
            at_most=settings.scoring.max_offsets_per_trigger,
        ).select(with_newline(), *MESSAGE_COLUMNS)
        panes = messages.mapInArrow(
            partial(worker.decode, settings=settings), grouping.SPARK_PANES
        ).withWatermark("stamp", f"{settings.windows.watermark_minutes * 60:.0f} seconds")
        writer = (
            windows_of(panes, settings)
            .writeStream.queryName("score")
            .outputMode("update")
            .option("checkpointLocation", path)
            .foreachBatch(self._on_batch)
        )
        self._first_offsets = self._offsets_at(starting)
        self._progress_seen = -1
        if self._options.once:
            writer = writer.trigger(availableNow=True)
        else:
            writer = writer.trigger(processingTime=f"{settings.scoring.trigger_milliseconds} milliseconds")
        self._query = writer.start()
        if self._options.archive and settings.archive.enabled:
            archive.start(spark, settings, once=self._options.once, fail_on_loss=not self._lost_accepted)

    def _offsets_at(self, starting: str) -> dict[int, int]:
        """Where a query without a checkpoint begins: partition -> offset."""
        if starting.startswith("{"):
            return _partition_offsets(starting, self._settings.kafka.topic)
        ends = topic_ends(self._settings, self._settings.kafka.topic) or {}
        return {number: first if starting == "earliest" else last for number, (first, last) in ends.items()}

    def _stop_queries(self) -> None:
        if self._spark is None:
            return
        for query in self._spark.streams.active:
            try:
                query.stop()
            except Exception as error:
                say(f"a query did not stop cleanly: {str(error).splitlines()[0]}")

    def _until_stopped(self, deadline: float | None) -> bool:
        """Watch the queries; True when the work is done or the job was told to stop."""
        assert self._query is not None
        assert self._spark is not None
        while not self._stop.is_set():
            if self._query.awaitTermination(1):
                self._smoother.wait()
                self._note_progress()
                self._finish_archive()
                return True
            for query in self._spark.streams.active:
                if query.exception() is not None:
                    raise query.exception()  # type: ignore[misc]
            self._note_progress()
            self._tidy()
            # said once each while they are away; a query that fails for it is started again by _recover
            if self._store.check() and self._broker.check():
                self._lease.check()
            if deadline is not None and time.monotonic() >= deadline:
                return True
        return True

    def _finish_archive(self) -> None:
        assert self._spark is not None
        for query in self._spark.streams.active:
            query.awaitTermination()

    def _recover(self, error: Exception) -> None:
        """After a failed query: wait for what is away, or give up with one sentence."""
        if self._stop.is_set():
            return
        self._stop_queries()
        self._smoother.forget()
        if isinstance(error, RefusedError):
            raise error
        message = str(error)
        if _is_data_loss(message):
            raise RefusedError(self._describe_loss()) from error
        self._close_connection()
        away = (
            not self._store.check() or not self._broker.check() or isinstance(error, ServiceUnavailableError)
        )
        now = time.monotonic()
        if not away:
            self._failures.append(now)
            while self._failures and now - self._failures[0] > 60 * _FAILURES_ALLOWED:
                self._failures.popleft()
            first, more = _first_line(message), details(self._settings)
            if len(self._failures) > _FAILURES_ALLOWED:
                raise ActivityError(f"scoring fails again and again: {first} (details {more})") from error
            say(f"a batch failed and will be tried again: {first} (details {more})")
        self._store.wait(self._stop.is_set)
        self._broker.wait(self._stop.is_set)
        self._stop.wait(1)

    def _describe_loss(self) -> str:
        topic = self._settings.kafka.topic
        ends = topic_ends(self._settings, topic) or {}
        recorded = last_offsets(self._driver(), topic) or {}
        lost = unread_and_gone(recorded, ends)
        if lost:
            return loss_sentence(topic, lost)
        return (
            f"DATA LOSS: Kafka no longer holds messages of {topic} that were not scored yet, or the topic was made "
            "anew; go on with what is there by `activity score --accept-data-loss`"
        )

    # ---- a batch ----------------------------------------------------------------------------------------

    def _on_batch(self, windows: DataFrame, batch_id: int) -> None:
        serving = self._champion.current
        assert serving is not None
        connection = self._driver()
        query_id, offsets = self._batch_identity()
        record = begin_batch(
            connection,
            query_id=query_id,
            batch_id=batch_id,
            topic=self._settings.kafka.topic,
            offsets=offsets,
            model_version=serving.classifier.version,
            energy_version=serving.regressor.version if serving.regressor else None,
        )
        if record.model_version is not None and record.model_version != serving.classifier.version:
            # this batch was begun before a restart by another version: it ends with that one
            serving = self._champion.load_version(record.model_version, record.energy_version)
        marking = self._queue.marking(connection, record, serving.model)
        connection.commit()
        scorer = worker.Scorer(
            self._settings,
            self._broadcast_of(serving),
            serving.classifier.version,
            batch_id,
            query_id,
            marking,
        )
        counts = windows.mapInArrow(partial(worker.score, scorer=scorer), worker.COUNT_SCHEMA).collect()
        count = sum(row["windows"] for row in counts)
        marks = [Marks(row["complete"], row["weight"], row["marked"]) for row in counts] if marking else []
        self._smoother.finish(
            query_id=query_id,
            batch_id=batch_id,
            windows=count,
            since=record.started_at,
            also=self._queue.collect(record, marks, serving.model),
        )
        self.windows += count
        self.batches += 1

    def _batch_identity(self) -> tuple[str, dict[int, tuple[int, int]]]:
        """The query's id and this batch's offsets: partition -> (from, until), as Spark is about to commit them."""
        assert self._spark is not None
        for query in self._spark.streams.active:
            if query.name == "score":
                execution = query._jsq.streamingQuery()
                topic = self._settings.kafka.topic
                return query.id, _offset_ranges(
                    _offsets(execution.committedOffsets(), topic) or self._first_offsets,
                    _offsets(execution.availableOffsets(), topic),
                )
        raise ActivityError("the query ended while its batch was about to begin")

    def _broadcast_of(self, serving: Champion) -> Any:
        key = (serving.classifier.version, serving.regressor.version if serving.regressor else None)
        if self._broadcast is None or self._broadcast[0] != key:
            assert self._spark is not None
            self._broadcast = (key, self._spark.sparkContext.broadcast(serving.bundle))
        return self._broadcast[1]

    def _note_progress(self) -> None:
        assert self._query is not None
        late_by_batch: dict[int, int] = {}
        for progress in self._query.recentProgress:
            if progress["batchId"] <= self._progress_seen:
                continue
            self._progress_seen = progress["batchId"]
            late = sum(operator["numRowsDroppedByWatermark"] for operator in progress["stateOperators"])
            if late:
                late_by_batch[progress["batchId"]] = late
        if late_by_batch:
            self.dropped_late += sum(late_by_batch.values())
            say(
                f"{sum(late_by_batch.values()):,} panes came later than the watermark of "
                f"{self._settings.windows.watermark_minutes:g} minutes; `activity backfill` scores them"
            )
            connection = connect(self._settings)
            with connection:
                record_late(connection, str(self._query.id), late_by_batch)
            connection.close()

    def _tidy(self) -> None:
        """Once a minute: merge what the workers counted for the watch on drift, and forget what is old."""
        now = time.monotonic()
        if now < self._next_tidy or not self._settings.monitoring.enabled:
            return
        self._next_tidy = now + _TIDY_SECONDS
        try:
            with session(self._settings) as connection:
                merge_minutes(connection)
                forget_minutes(connection, self._settings.monitoring.keep_days)
        except ActivityError as error:
            say(f"could not merge the counts for the watch on drift: {error}")

    # ---- the driver's own connection ---------------------------------------------------------------------

    def _driver(self) -> Any:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._settings)
        return self._connection

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _offset_ranges(start: dict[int, int], end: dict[int, int]) -> dict[int, tuple[int, int]]:
    return {number: (start.get(number, 0), until) for number, until in end.items()}


def _offsets(progress: Any, topic: str) -> dict[int, int]:
    """Partition -> offset of Spark's own notion of how far a query is; {} before its first batch."""
    sources = progress.valuesIterator()
    if not sources.hasNext():
        return {}
    return _partition_offsets(sources.next().json(), topic)


def _partition_offsets(text: str, topic: str) -> dict[int, int]:
    return {int(number): offset for number, offset in json.loads(text).get(topic, {}).items()}


_SAYS = re.compile(r"^(?:[\w$]+\.)*([\w$]*(?:Error|Exception|Interrupt)): (\S.*)$")


def _first_line(message: str) -> str:
    """The line of a Spark error that says what happened: that of the Python exception where there is one."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = [found for line in lines if (found := _SAYS.match(line))]
    if said:
        return f"{said[-1][1]}: {said[-1][2]}"[:300]
    return lines[0][:300] if lines else "unknown error"
