"""What the scoring job does beside its batches: record late panes, merge and delete counts of drift monitoring."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from pyspark.sql.streaming.query import StreamingQuery

from activitymodule.errors import ActivityError, StoreUnavailableError
from activitymodule.settings import Settings
from activitymodule.store.batches import record_late
from activitymodule.store.connection import Connection, transact
from activitymodule.store.drift import forget_minutes, merge_minutes
from activitymodule.store.prediction_days import make_days_ahead
from activitymodule.streaming.log import log
from activitymodule.streaming.state_size import too_large

_TIDY_SECONDS = 60.0
_DAYS_SECONDS = 3600.0


class Housekeeping:
    """Call `note_progress` and `tidy` every second or so.

    dropped_late : panes after the watermark so far; state_windows, state_bytes : the most that the state had
    """

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._next_tidy = time.monotonic() + _TIDY_SECONDS
        self._next_days = time.monotonic()
        self._last_batch = -1
        self._unrecorded: dict[str, dict[int, int]] = {}  # query -> batch -> panes
        self._logged: str | None = None
        self._warned = False
        self.dropped_late = 0
        self.state_windows = self.state_bytes = 0

    def query_started(self) -> None:
        """A query that was started again counts its batches anew."""
        self._last_batch = -1

    def note_progress(self, query: StreamingQuery) -> None:
        """Log and record panes that came later than the watermark; warn where the state gets too large."""
        self._note_state(query)
        late = 0
        for batch_id, dropped in _dropped_after(query, self._last_batch):
            self._last_batch = max(self._last_batch, batch_id)
            if dropped:
                late += dropped
                self._unrecorded.setdefault(str(query.id), {})[batch_id] = dropped
        if late:
            self.dropped_late += late
            minutes = self._config.archive.backfill_minutes
            how = (
                "`activity backfill` scores them"
                if minutes is None
                else f"they are scored from the archive every {minutes:g} minutes"
            )
            log(
                f"{late:,} panes came later than the watermark of {self._config.windows.watermark_minutes:g} "
                f"minutes; {how}"
            )
        # kept where the store takes no writes now
        while self._unrecorded:
            query_id, late_by_batch = next(iter(self._unrecorded.items()))
            transact(self._config, partial(_record_late, query_id, late_by_batch))
            del self._unrecorded[query_id]

    def _note_state(self, query: StreamingQuery) -> None:
        progress = query._jsq.lastProgress()
        for one in progress.stateOperators() if progress is not None else ():
            self.state_windows = max(self.state_windows, int(one.numRowsTotal()))
            self.state_bytes = max(self.state_bytes, int(one.memoryUsedBytes()))
        if self._warned:
            return
        whose = f"the open windows ({self.state_windows:,})"
        if trouble := too_large(self._config, self.state_bytes, whose):
            self._warned = True
            log(trouble)

    def tidy(self) -> None:
        """Once a minute: merge the workers' counts for drift monitoring, and delete old ones. Once an hour: make the
        partitions of the next days."""
        now = time.monotonic()
        self._make_days(now)
        if now < self._next_tidy or not self._config.monitoring.enabled:
            return
        self._next_tidy = now + _TIDY_SECONDS
        try:
            transact(self._config, self._merge)
            self._logged = None
        except StoreUnavailableError:
            return  # the scorer reports it; what is to be merged is kept
        except ActivityError as error:
            if self._logged != error.code:
                log(f"could not merge the counts for drift monitoring: {error}")
            self._logged = error.code

    def _merge(self, connection: Connection) -> None:
        merge_minutes(connection)
        forget_minutes(connection, self._config.monitoring.keep_days)

    def _make_days(self, now: float) -> None:
        if now < self._next_days:
            return
        self._next_days = now + _DAYS_SECONDS
        try:
            transact(self._config, _make_days_ahead)
        except ActivityError as error:
            # rows of a day without a partition go to the default one, and are moved when it is made
            self._next_days = now + _TIDY_SECONDS
            if not isinstance(error, StoreUnavailableError):
                log(f"could not make the partitions of the next days: {error}; trying again in a minute")


def _dropped_after(query: StreamingQuery, last_batch: int) -> Iterator[tuple[int, int]]:
    """(batch, panes it dropped for the watermark) of the batches after that one, the newest first.

    Read in Java: `query.recentProgress` makes JSON and Python objects of a hundred batches, each time it is asked.
    """
    for progress in reversed(query._jsq.recentProgress()):
        batch_id = int(progress.batchId())
        if batch_id <= last_batch:
            return
        yield batch_id, sum(int(one.numRowsDroppedByWatermark()) for one in progress.stateOperators())


def _make_days_ahead(connection: Connection) -> None:
    make_days_ahead(connection, datetime.now(UTC).date())


def _record_late(query_id: str, late_by_batch: dict[int, int], connection: Connection) -> None:
    record_late(connection, query_id, late_by_batch)
