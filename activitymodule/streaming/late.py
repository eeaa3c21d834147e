"""Scores what came later than the watermark from the archive, beside the scoring job and every few minutes."""

from __future__ import annotations

import threading
import time

from pyspark.sql import SparkSession

from activitymodule.settings import Settings
from activitymodule.streaming.backfill import backfill_late
from activitymodule.streaming.champion import ChampionWatch
from activitymodule.streaming.log import log
from activitymodule.streaming.queue.selection import QueueSelector
from activitymodule.streaming.spark_errors import cause, java_runs

_JOBS = "late"


class LateWindows:
    """Call `step` every second or so.

    queue : the stream's; wanted : whether the job archives: what is not archived cannot be scored
    """

    def __init__(
        self,
        spark: SparkSession,
        config: Settings,
        champion: ChampionWatch,
        queue: QueueSelector,
        *,
        wanted: bool,
    ) -> None:
        minutes = config.archive.backfill_minutes
        self._spark, self._config, self._champion, self._queue = spark, config, champion, queue
        self._seconds = 60 * minutes if minutes is not None and wanted else None
        self._next = time.monotonic() + (self._seconds or 0)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed: str | None = None

    @property
    def wanted(self) -> bool:
        """Whether late windows are scored at all."""
        return self._seconds is not None

    def step(self) -> None:
        """Start to score what waits, where it is time for it."""
        if self._seconds is None or time.monotonic() < self._next:
            return
        if self._thread is None or not self._thread.is_alive():
            self._next = time.monotonic() + self._seconds
            self._thread = threading.Thread(target=self.score, name="late", daemon=True)
            self._thread.start()

    def score(self) -> None:
        """Score all that waits and is archived; what fails is logged once and tried again at the next time."""
        if self._seconds is None:
            return
        try:
            self._spark.sparkContext.setJobGroup(_JOBS, "score late windows")
            offered = 0
            while not self._stop.is_set() and (serving := self._champion.current) is not None:
                report = backfill_late(self._spark, self._config, serving, self._queue.for_late())
                if report is None:
                    break
                offered += report.windows_offered
                log(
                    f"{report.windows_in_archive:,} windows with readings later than the watermark were read from the "
                    f"archive, {report.rows_written:,} rows written"
                )
            self._queue.late_per_hour = offered * 3600 / self._seconds
            self._failed = None
        except Exception as error:
            if self._stop.is_set() or not java_runs(patience_seconds=1.0):
                return
            if self._failed is None:
                log(f"late windows could not be scored: {cause(error)}; they are tried again")
            self._failed = cause(error)

    def stop(self) -> None:
        """End it; what is broken off is done again at the next start."""
        self._stop.set()
        if self._thread is not None and self._thread.is_alive():
            if java_runs():
                self._spark.sparkContext.cancelJobGroup(_JOBS)
            self._thread.join(30)
