"""Keeps the archive going beside the scoring job: whatever stops it is logged once, and it is tried again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import psycopg2
from pyspark.sql import SparkSession

from activitymodule.errors import ActivityError
from activitymodule.kafka.clients import reachable as broker_reachable
from activitymodule.settings import Settings
from activitymodule.store.archive import ArchiveState, forget_archive_state, write_archive_state
from activitymodule.store.connection import session
from activitymodule.streaming.archive import ArchiveWriter, Progress
from activitymodule.streaming.log import log
from activitymodule.streaming.spark_errors import cause, java_runs

LONGEST_PAUSE = 60.0
"""Seconds between two attempts, at the most; the first pause is a second, each is twice the one before."""
ATTEMPTS_ONCE = 6
"""Attempts of a job that ends when everything is scored."""
_JOBS = "archive"


class Archiver:
    """A thread that archives the topic in batches.

    wanted : whether the job archives at all; once : end when all is archived that is in the topic now;
    forget : begin anew with what Kafka has
    """

    def __init__(
        self, spark: SparkSession, config: Settings, *, wanted: bool, once: bool, forget: bool
    ) -> None:
        self._spark, self._config, self._once, self._forget = spark, config, once, forget
        self._wanted = wanted
        self._writer = ArchiveWriter(spark, config)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._failed_at: float | None = None
        self._attempts = 0
        self._state = ArchiveState(topic=config.kafka.topic)
        self._error: str | None = None

    def start(self) -> None:
        """Make sure that it runs: called again and again, for a thread that has died is not noticed by anybody else."""
        if self._ended or (self._thread is not None and self._thread.is_alive()):
            return
        if self._wanted:
            self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
            self._thread.start()
            return
        self._ended = True
        with suppress(ActivityError, psycopg2.Error), session(self._config) as connection:
            forget_archive_state(connection, self._config.kafka.topic)

    def wait(self, stopped: Callable[[], bool]) -> None:
        """Wait until a job that runs once has archived everything. Raises ActivityError where it could not."""
        while not self._ended and not stopped() and java_runs():
            self.start()
            if self._thread is not None:
                self._thread.join(1)
        if self._error is not None:
            raise ActivityError(
                f"everything was scored, but not archived: {self._error}; run the command again"
            )

    def stop(self) -> None:
        """End it; a batch that is broken off is written again at the next start."""
        self._stop.set()
        if self._thread is not None:
            if java_runs():
                self._spark.sparkContext.cancelJobGroup(_JOBS)
            self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                caught_up = self._archive()
            except Exception as error:
                if self._stop.is_set() or not java_runs(patience_seconds=1.0):
                    break
                self._note_failure(error)
                if self._once and self._attempts >= ATTEMPTS_ONCE:
                    self._error = cause(error)
                    break
                self._stop.wait(min(LONGEST_PAUSE, 2.0 ** min(self._attempts - 1, 9)))
                continue
            if caught_up and self._once:
                break
            if caught_up:
                pause = self._config.archive.interval_seconds - (time.monotonic() - begun)
                self._stop.wait(max(0.0, pause))
        self._ended = True

    def _archive(self) -> bool:
        """Archive a batch; whether nothing was left then."""
        self._spark.sparkContext.setJobGroup(_JOBS, "archive raw messages")
        if self._forget:
            self._writer.forget()
            self._forget = False
        progress = self._writer.write_batch()
        self._note_progress(progress)
        return progress is None or progress.done

    def _note_failure(self, error: Exception) -> None:
        self._attempts += 1
        # the job itself logs that Kafka is away
        if self._failed_at is None and broker_reachable(self._config):
            self._failed_at = time.monotonic()
            log(
                f"ARCHIVE STOPPED: {cause(error)}; scoring goes on, and the archive is tried again every "
                f"{LONGEST_PAUSE:.0f} s at the latest; Kafka keeps what it misses for "
                f"{self._config.kafka.retention_hours:g} hours (kafka.retention_hours)"
            )
            self._state = self._state.failing(cause(error), datetime.now(UTC))
        self._write_state()

    def _note_progress(self, progress: Progress | None) -> None:
        if self._failed_at is not None:
            behind = f", {progress.behind():,} messages behind Kafka" if progress is not None else ""
            log(f"the archive goes on after {time.monotonic() - self._failed_at:.0f} s{behind}")
        self._attempts, self._failed_at = 0, None
        if progress is not None:
            record = progress.record
            gaps = tuple((gap.partition, gap.first, gap.until) for gap in record.gaps)
            self._state = self._state.going(record.offsets, record.topic_id, gaps, datetime.now(UTC))
        self._write_state()

    def _write_state(self) -> None:
        """For others to see. The record of the archive is with its files, so a store that is away harms nothing."""
        with suppress(ActivityError, psycopg2.Error), session(self._config) as connection:
            write_archive_state(connection, self._state)
