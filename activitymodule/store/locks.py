"""Advisory locks of the store: every id in one place, and the locks that a process holds while it lives.

The server releases a process's lock when its connection ends, so a killed process leaves nothing to clean up.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import psycopg2

from activitymodule.errors import LockedError
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, connect, explained, patiently, place
from activitymodule.store.queries import execute, fetch_row, fetch_value

# Locks of a transaction.
MIGRATING = 7_204_110_001
# Writers of predictions share it, smoothing holds it alone: both change rows, in different orders, and would
# deadlock.
WRITING_PREDICTIONS = 7_204_110_002
MERGING_MINUTES = 7_204_471_935
# Makers of the partitions of predictions, in sql/migrations/versions/0011_prediction_days.sql: 7_204_110_003
# Writers of activity events, in 0021_activity_events.sql: 7_204_110_004
# Two admins who disable each other at once would leave none.
CHANGING_USERS = "SELECT pg_advisory_xact_lock(hashtext('activity users'))"
# Two imports at once would both add the answers that their files share.
IMPORTING = "SELECT pg_advisory_xact_lock(hashtext('activity import of labels'))"
# Two tabs of one annotator must not undo the same answer.
UNDOING = "SELECT pg_advisory_xact_lock(hashtext('activity undo ' || %s))"

# Locks of a session: the first half of the key. The second half is a hash of the topic or of the model's name.
SCORING = 72_041
RETRAINING = 72_042
RETENTION = 72_043
SENDING = 72_044
DAILY = 72_045

_TAKE = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
_HOLDER = """
SELECT a.application_name, a.backend_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s::bigint::oid
  AND l.objid = (hashtext(%s)::bigint & 4294967295)::oid
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def holder(connection: Connection, kind: int, name: str) -> str | None:
    """Who holds a lock of a session, since when; None where it is free.

    PostgreSQL hides both from other roles.
    """
    row = fetch_row(connection, _HOLDER, (kind, name))
    if row is None:
        return None
    since = f", since {row[1]:%Y-%m-%d %H:%M:%S} UTC" if row[1] else ""
    return f"{row[0] or 'another process'}{since}"


class SessionLock:
    """A lock held by a connection of its own until `release`. Raises LockedError where another process holds it."""

    def __init__(
        self, config: Settings, kind: int, name: str, *, who: str, held: str, patience_seconds: float
    ) -> None:
        """Prepare the lock without taking it.

        kind, name : the two halves of the key
        who : name of the connection, shown to others who want the lock
        held : the message where it is taken, with {holder} in it
        patience_seconds : the server may need a moment to notice that the previous holder was killed
        """
        self._config, self._kind, self._name = config, kind, name
        self._who, self._held, self._patience_seconds = who, held, patience_seconds
        self._connection: Connection | None = None

    def __enter__(self) -> SessionLock:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def take(self) -> None:
        """Take the lock. Raises LockedError, or ServiceUnavailableError where the store does not answer."""
        name = f"{self._who}, pid {os.getpid()} on {socket.gethostname()}"[:63]
        connection = connect(self._config, application_name=name)
        try:
            with explained(self._config):
                connection.autocommit = True  # a session idle in a transaction would hold back vacuum
                deadline = time.monotonic() + self._patience_seconds
                while not fetch_value(connection, _TAKE, (self._kind, self._name)):
                    if time.monotonic() >= deadline:
                        found = holder(connection, self._kind, self._name) or "another process"
                        raise LockedError(self._held.replace("{holder}", found))
                    time.sleep(0.1)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def check(self) -> None:
        """Make sure that the lock is still held; after a lost connection it is taken again.

        Raises LockedError where another process took it meanwhile, ServiceUnavailableError while the store does
        not answer.
        """
        if self._connection is not None:
            try:
                execute(self._connection, "SELECT 1")
                return
            except psycopg2.Error:
                self.release()
        self.take()

    def release(self) -> None:
        """Release the lock; the same as leaving the block."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg2.Error):
                connection.close()


class ScorerLease(SessionLock):
    """One scorer per topic: `with ScorerLease(config, topic) as lease:`."""

    def __init__(self, config: Settings, topic: str, *, patience_seconds: float = 2.0) -> None:
        """Prepare the lock of a topic."""
        held = (
            f"the topic {topic} is already scored into PostgreSQL at {place(config)} ({{holder}}); "
            "stop that scorer first, or score another topic"
        )
        super().__init__(
            config, SCORING, topic, who="activity score", held=held, patience_seconds=patience_seconds
        )


_held_here = threading.local()


@contextmanager
def retrain_lease(config: Settings, run_id: str, *, patience_seconds: float = 3.0) -> Iterator[None]:
    """One retraining per classifier: hold its lock; within a block that holds it for the same run, do nothing.

    Raises LockedError where another run holds it.
    """
    name = config.registry.classifier
    key = (config.store.host, config.store.port, config.store.database, name, run_id)
    held: dict[tuple[Any, ...], SessionLock] = _held_here.__dict__.setdefault("locks", {})
    if key in held:
        patiently(held[key].check)  # the store may have been restarted meanwhile
        yield
        return
    lock = SessionLock(
        config,
        RETRAINING,
        name,
        who=f"retrain {run_id}",
        held=f"{name} is already being retrained ({{holder}}); wait for that run, or end it",
        patience_seconds=patience_seconds,
    )
    with lock:
        held[key] = lock
        try:
            yield
        finally:
            del held[key]
