"""Smoothing beside the stream: the rows of a batch are smoothed while the next batch is read.

Batches are smoothed in order, on a connection of their own, and their activity events are written in the same
transaction. A batch is recorded as finished once it is smoothed, so the next job smooths what a killed one left
(`refresh_unfinished`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from activitymodule.settings import Settings
from activitymodule.store.batches import finish_batch
from activitymodule.store.connection import Connection
from activitymodule.store.smoothing import refresh_smoothed
from activitymodule.store.telling import Teller
from activitymodule.streaming.connections import KeptConnection


class Smoother:
    """Call `finish` at the end of each batch and `wait` before leaving. finished : batches that are done"""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="smoother")
        self._pending: Future[None] | None = None
        self._connection = KeptConnection()
        self._teller = Teller.of(config)
        self._unfinished: deque[Callable[[Connection], None]] = deque()
        self.finished = 0

    def finish(
        self,
        *,
        query_id: str,
        batch_id: int,
        windows: int,
        since: datetime,
        also: Callable[[Connection], None] | None = None,
    ) -> None:
        """Smooth the windows that a batch wrote since then, and record the batch as finished.

        also : called with the connection, within the same transaction. Returns as soon as the previous batch is
        done, and raises the error of that one.
        """
        self.wait()
        self._pending = self._thread.submit(self._finish, query_id, batch_id, windows, since, also)

    def wait(self) -> None:
        """Wait until all is smoothed. Raises the error of the last batch, once."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def forget(self) -> None:
        """Wait, and ignore an error: `resume`, or the next job, finishes the batch."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.exception()

    def close(self) -> None:
        """End the thread and its connection; `wait` before."""
        self._thread.shutdown(wait=True)
        self._connection.drop()

    def _finish(
        self,
        query_id: str,
        batch_id: int,
        windows: int,
        since: datetime,
        also: Callable[[Connection], None] | None,
    ) -> None:
        def transaction(connection: Connection) -> None:
            scoring, teller = self._config.scoring, self._teller
            refresh_smoothed(connection, batch_id=batch_id, scoring=scoring, since=since, teller=teller)
            if also is not None:
                also(connection)
            finish_batch(connection, query_id=query_id, batch_id=batch_id, windows=windows)

        self._unfinished.append(transaction)
        self.resume()

    def resume(self) -> None:
        """Finish the batches whose end failed, in their order. Raises the error of the first that fails again."""
        while self._unfinished:
            self._connection.run(self._config, self._unfinished[0])
            if self._teller is not None:
                self._teller.committed()
            self._unfinished.popleft()
            self.finished += 1
