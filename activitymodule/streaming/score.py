"""The streaming job: readings from Kafka to predictions in the store.

messages -> (Arrow decode) panes -> (state) windows -> (features, champion) predictions -> COPY + upsert.
Every step may run twice without harm: rows are keyed by watch and window, dead letters by their place in the
topic, and a batch that is replayed is scored by the versions with which it began (sink.py).
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from activitymodule.errors import (
    ActivityError,
    BrokerError,
    ConfigError,
    ConflictError,
    NoTopicError,
    RefusedError,
    SchemaError,
    ServiceUnavailableError,
    SignInRefusedError,
    StoreUnavailableError,
    TimedOutError,
)
from activitymodule.kafka.clients import reachable as broker_reachable
from activitymodule.kafka.clients import require_topic
from activitymodule.kafka.failures import of_java
from activitymodule.settings import Settings, make_private
from activitymodule.store.connection import place
from activitymodule.store.health import why_not_connected, why_not_writable
from activitymodule.store.live import watches_at_last
from activitymodule.store.locks import ScorerLease, SessionLock
from activitymodule.store.smoothing import refresh_unfinished
from activitymodule.store.telling import Teller
from activitymodule.streaming.archiver import Archiver
from activitymodule.streaming.availability import Availability
from activitymodule.streaming.causes import cause_of
from activitymodule.streaming.champion import ChampionWatch, record_versions
from activitymodule.streaming.checkpoint import checkpoint_path, set_aside
from activitymodule.streaming.connections import KeptConnection
from activitymodule.streaming.hadoop_files import HadoopFiles
from activitymodule.streaming.housekeeping import Housekeeping
from activitymodule.streaming.late import LateWindows
from activitymodule.streaming.log import log
from activitymodule.streaming.messages import kafka_messages
from activitymodule.streaming.pace import Pace
from activitymodule.streaming.queue.selection import QueueSelector
from activitymodule.streaming.recovery import Failures, is_data_loss
from activitymodule.streaming.resuming import Start, TopicWatch, data_loss, start_of
from activitymodule.streaming.session import spark_session
from activitymodule.streaming.sink import QUERY, BatchSink
from activitymodule.streaming.spark_errors import explained_spark, java_runs
from activitymodule.streaming.state_size import require_disk, warning
from activitymodule.streaming.windowing import panes_of, windows_of

_GONE_SECONDS = 60.0  # how long a topic that was deleted may stay away


@dataclass(frozen=True)
class Options:
    """How one run of the job differs from the config.

    once : stop when everything that is in the topic now has been scored; seconds : stop after so long
    """

    once: bool = False
    seconds: float | None = None
    accept_data_loss: bool = False
    set_checkpoint_aside: bool = False
    forget_offsets: bool = False
    archive: bool = True


class ScoringJob:
    """One run of the job on one topic; `run` returns when it is done or was asked to stop.

    Raises ConfigError where `queue.doubt` names no reason for doubt.
    """

    def __init__(self, config: Settings, options: Options = Options()) -> None:
        self._config = config
        self._options = options
        self._stop = threading.Event()
        self._store = Availability(
            f"PostgreSQL at {place(config)}",
            partial(why_not_connected, config),
            thorough=partial(why_not_writable, config),
        )
        kafka = f"Kafka at {config.kafka.bootstrap_servers}"
        self._broker = Availability(
            kafka, lambda: None if broker_reachable(config) else f"{kafka} does not answer"
        )
        self._finished = 0
        self._champion = ChampionWatch(config, partial(record_versions, config))
        self._connection = KeptConnection()
        self._housekeeping = Housekeeping(config)
        self._failures = Failures(config)
        self._topic = TopicWatch(config)
        self._pace = Pace(config)
        self._queue = QueueSelector(config, eager=options.once)
        self._sink: BatchSink | None = None
        self._archiver: Archiver | None = None
        self._late: LateWindows | None = None
        self._query: StreamingQuery | None = None

    @property
    def windows(self) -> int:
        """Windows scored so far."""
        return self._sink.windows if self._sink else 0

    @property
    def batches(self) -> int:
        """Batches scored so far."""
        return self._sink.batches if self._sink else 0

    @property
    def dropped_late(self) -> int:
        """Panes that came later than the watermark so far."""
        return self._housekeeping.dropped_late

    @property
    def state(self) -> tuple[int, int]:
        """Windows that Spark's state held at most so far, and its bytes."""
        return self._housekeeping.state_windows, self._housekeeping.state_bytes

    # ---- life -------------------------------------------------------------------------------------------

    def stop(self, *_: object) -> None:
        """Ask the job to end; safe from a signal handler and from other threads."""
        self._stop.set()

    def run(self) -> None:
        """Score until the job is stopped.

        Raises BrokerError where Kafka refuses what waiting does not change (no such topic, not allowed, a codec that
        is not there), RefusedError where a second scorer runs on the topic, where unread messages are gone, where the
        topic is another one, or where checkpoint and store do not belong together.
        """
        config = self._config
        self._take_signals()
        if not self._store.wait(self._stop.is_set):
            return
        with ScorerLease(config, config.kafka.topic) as lease:
            if not (self._wait_for_topic() and self._wait_for_champion()):
                return
            self._warn_of_memory()
            if changed := make_private(config):
                log(f"other users could read {changed:,} files and folders of the project; only you can now")
            with explained_spark(config):
                self._run(spark_session(config, f"score-{config.kafka.topic}", scoring=True), lease)

    def _warn_of_memory(self) -> None:
        with suppress(ServiceUnavailableError):  # it is waited for where it is needed
            if trouble := warning(self._config, self._connection.run(self._config, watches_at_last)):
                log(trouble)

    def _run(self, spark: SparkSession, lease: SessionLock) -> None:
        config = self._config
        self._take_signals()
        self._champion.start()
        self._sink = BatchSink(config, spark, self._champion, self._connection, self._queue, self._pace)
        archives = self._options.archive and config.archive.enabled
        self._late = LateWindows(spark, config, self._champion, self._queue, wanted=archives)
        self._archiver = Archiver(
            spark,
            config,
            wanted=archives,
            once=self._options.once,
            forget=self._options.forget_offsets,
        )
        deadline = time.monotonic() + self._options.seconds if self._options.seconds else None
        try:
            while not self._stop.is_set():
                try:
                    if not self._wait_for_topic():  # it may have been deleted since
                        return
                    self._start_query(spark, self._sink)
                    self._archiver.start()
                    self._until_stopped(self._sink, self._archiver, self._late, lease, deadline)
                    return
                except Exception as error:
                    if not java_runs(patience_seconds=1.0):
                        raise
                    self._recover(spark, self._sink, error)
        finally:
            self._champion.stop()
            self._stop_queries(spark)
            self._late.stop()
            self._archiver.stop()
            self._sink.close()
            self._connection.drop()

    def _take_signals(self) -> None:
        # once more after Spark has started: it installs handlers of its own
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self.stop)
            signal.signal(signal.SIGTERM, self.stop)

    def _wait_for_topic(self) -> bool:
        # one that was there may be about to be created again
        patience = time.monotonic() + (_GONE_SECONDS if self._query is not None else 0)
        while self._broker.wait(self._stop.is_set):
            try:
                require_topic(self._config, self._config.kafka.topic)
                return True
            except ServiceUnavailableError as error:
                self._broker.report(str(error))
            except NoTopicError as error:
                if time.monotonic() >= patience:
                    raise
                self._broker.report(str(error))
            self._stop.wait(1)
        return False

    def _wait_for_champion(self) -> bool:
        logged: str | None = None
        while not self._stop.is_set():
            try:
                if self._champion.refresh() is not None:
                    return True
                message = "there is no champion yet; waiting for one (train it with `activity train`)"
            except SignInRefusedError:
                raise
            except ServiceUnavailableError as error:
                message = f"{error}; waiting for it"
            if message != logged:
                log(message)
                logged = message
            self._stop.wait(self._config.registry.poll_seconds)
        return False

    # ---- the query ---------------------------------------------------------------------------------------

    def _start_query(self, spark: SparkSession, sink: BatchSink) -> None:
        config = self._config
        sink.smoother.resume()
        # a scorer that died between writing its rows and smoothing them left them unsmoothed
        topic, scoring, teller = config.kafka.topic, config.scoring, Teller.of(config)
        self._connection.run(
            config, lambda connection: refresh_unfinished(connection, topic, scoring, teller)
        )
        path = checkpoint_path(config, QUERY)
        first = self._options.set_checkpoint_aside and self._query is None
        aside = set_aside(spark, path) if first else None
        try:
            start = self._connection.run(
                config,
                lambda connection: start_of(
                    spark,
                    config,
                    connection,
                    path,
                    accept_data_loss=self._options.accept_data_loss,
                    forget_offsets=self._options.forget_offsets,
                ),
            )
        except ActivityError:
            if aside is not None:  # a start that was refused leaves everything as it was
                HadoopFiles(spark).move(aside, path)
            raise
        if aside is not None:
            log(f"the checkpoint was set aside as {aside}")
        sink.begins(start)
        self._topic.topic_id = start.topic_id
        self._housekeeping.query_started()
        writer = (
            self._windows(spark, start)
            .writeStream.queryName(QUERY)
            .outputMode("update")
            .option("checkpointLocation", path)
            .foreachBatch(sink.write)
        )
        if self._options.once:
            writer = writer.trigger(availableNow=True)
        else:
            self._pace.start()
        self._query = writer.start()

    def _windows(self, spark: SparkSession, start: Start) -> DataFrame:
        messages = kafka_messages(
            spark,
            self._config,
            starting=start.offsets,
            fail_on_loss=not self._options.accept_data_loss,
            at_most=self._config.scoring.max_offsets_per_trigger,
        )
        note_late = self._late is not None and self._late.wanted
        panes = panes_of(messages, self._config, start.topic_id, note_late=note_late).withWatermark(
            "stamp", f"{self._config.windows.watermark_minutes * 60:.0f} seconds"
        )
        return windows_of(panes, self._config)

    def _until_stopped(
        self,
        sink: BatchSink,
        archiver: Archiver,
        late: LateWindows,
        lease: SessionLock,
        deadline: float | None,
    ) -> None:
        """Watch the query until the work is done or the job was asked to stop. Raises what the query failed with."""
        assert self._query is not None
        while not self._stop.is_set():
            require_disk(self._config)
            if self._query.awaitTermination(1):
                sink.smoother.wait()
                self._note_work(sink)
                self._housekeeping.note_progress(self._query)
                if not self._options.once:
                    raise ActivityError("the query of the scoring job was ended by another program")
                self._topic.check(now=True)
                archiver.wait(self._stop.is_set)
                late.score()
                return
            archiver.start()
            worked = self._note_work(sink)
            self._housekeeping.note_progress(self._query)
            self._housekeeping.tidy()
            late.step()
            # an outage is logged once; a query that fails for it is started again by _recover. A batch that ended
            # since has used both, which spares a connection to each
            if worked or (self._store.check() and self._broker.check()):
                lease.check()
                self._topic.check()
            if deadline is not None and time.monotonic() >= deadline:
                return

    def _note_work(self, sink: BatchSink) -> bool:
        """Whether a batch was finished since this was asked."""
        worked = sink.smoother.finished > self._finished
        if worked:
            self._finished = sink.smoother.finished
            self._store.work_done()
            self._broker.work_done()
        return worked

    def _recover(self, spark: SparkSession, sink: BatchSink, error: Exception) -> None:
        """After a failed query: wait for a missing service. Raises the error that ends the job, where one does."""
        if self._stop.is_set():
            return
        self._stop_queries(spark)
        sink.smoother.forget()
        cause = cause_of(error)
        if isinstance(cause, BrokerError | ConfigError | RefusedError | SchemaError | TimedOutError):
            raise cause from (None if cause is error else error)
        self._connection.drop()
        if is_data_loss(str(error)):
            raise self._connection.run(config=self._config, work=partial(data_loss, self._config)) from error
        refusal = of_java(self._config, str(error))
        if refusal is not None and not isinstance(
            refusal, NoTopicError
        ):  # that is seen to before the next start
            raise refusal from error
        if isinstance(cause, StoreUnavailableError) and not isinstance(cause, ConflictError):
            self._store.report(str(cause))
        elif self._store.check() and self._broker.check():
            if isinstance(cause, ServiceUnavailableError):
                self._broker.report(str(cause))
            else:
                self._failures.add(error)
        self._store.wait(self._stop.is_set)
        self._broker.wait(self._stop.is_set)
        self._stop.wait(1)

    def _stop_queries(self, spark: SparkSession) -> None:
        if not java_runs():
            return
        self._pace.stop()
        for query in spark.streams.active:
            try:
                query.stop()
            except Exception as error:
                log(f"a query did not stop cleanly: {str(error).splitlines()[0]}")
