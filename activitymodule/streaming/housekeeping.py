"""What the scoring job does beside its batches: record late panes, merge and delete counts of drift monitoring."""

from __future__ import annotations

import time

from pyspark.sql.streaming.query import StreamingQuery

from activitymodule.errors import ActivityError
from activitymodule.settings import Settings
from activitymodule.store.batches import record_late
from activitymodule.store.connection import session
from activitymodule.store.drift import forget_minutes, merge_minutes
from activitymodule.streaming.log import log

_TIDY_SECONDS = 60.0


class Housekeeping:
    """Call `note_progress` and `tidy` every second or so. dropped_late : panes after the watermark so far."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._next_tidy = time.monotonic() + _TIDY_SECONDS
        self._last_batch = -1
        self.dropped_late = 0

    def query_started(self) -> None:
        """A query that was started again counts its batches anew."""
        self._last_batch = -1

    def note_progress(self, query: StreamingQuery) -> None:
        """Log and record panes that came later than the watermark."""
        late_by_batch: dict[int, int] = {}
        for progress in query.recentProgress:
            if progress["batchId"] <= self._last_batch:
                continue
            self._last_batch = progress["batchId"]
            late = sum(operator["numRowsDroppedByWatermark"] for operator in progress["stateOperators"])
            if late:
                late_by_batch[progress["batchId"]] = late
        if not late_by_batch:
            return
        late = sum(late_by_batch.values())
        self.dropped_late += late
        log(
            f"{late:,} panes came later than the watermark of {self._config.windows.watermark_minutes:g} minutes; "
            "`activity backfill` scores them"
        )
        with session(self._config) as connection:
            record_late(connection, str(query.id), late_by_batch)

    def tidy(self) -> None:
        """Once a minute: merge the workers' counts for drift monitoring, and delete old ones."""
        now = time.monotonic()
        if now < self._next_tidy or not self._config.monitoring.enabled:
            return
        self._next_tidy = now + _TIDY_SECONDS
        try:
            with session(self._config) as connection:
                merge_minutes(connection)
                forget_minutes(connection, self._config.monitoring.keep_days)
        except ActivityError as error:
            log(f"could not merge the counts for drift monitoring: {error}")
