"""Smoothing beside the stream: what a batch wrote is smoothed while the next one is being read.

One batch at a time, in their order, on a connection of its own. A batch counts as finished in the store's record
when it is smoothed too; what a killed job left unsmoothed is found there by the next one (`refresh_unfinished`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

from activitymodule.settings import Settings
from activitymodule.store.batches import finish_batch
from activitymodule.store.connection import Connection, connect
from activitymodule.store.smoothing import refresh_smoothed


class Smoother:
    """Call `finish` at the end of each batch and `wait` before leaving."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="smoother")
        self._pending: Future[None] | None = None
        self._connection: Connection = None

    def finish(
        self,
        *,
        query_id: str,
        batch_id: int,
        windows: int,
        since: datetime,
        also: Callable[[Any], None] | None = None,
    ) -> None:
        """Have the windows smoothed that a batch wrote since then, and the batch recorded as finished.

        also : called with the connection, within the same transaction. Returns as soon as the batch before is done.
        Raises what went wrong with that one.
        """
        self.wait()
        self._pending = self._thread.submit(self._finish, query_id, batch_id, windows, since, also)

    def wait(self) -> None:
        """Until all is smoothed. Raises what went wrong with the last batch, once."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def forget(self) -> None:
        """The same, whatever went wrong: the store's record says what is unfinished."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.exception()

    def close(self) -> None:
        """End the thread and its connection; `wait` before."""
        self._thread.shutdown(wait=True)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _finish(
        self,
        query_id: str,
        batch_id: int,
        windows: int,
        since: datetime,
        also: Callable[[Any], None] | None,
    ) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._settings)
            refresh_smoothed(self._connection, batch_id=batch_id, scoring=self._settings.scoring, since=since)
            if also is not None:
                also(self._connection)
            finish_batch(self._connection, query_id=query_id, batch_id=batch_id, windows=windows)
            self._connection.commit()
        except BaseException:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
            raise
