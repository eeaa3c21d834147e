"""One scorer a topic: a lock of the database, held by a connection of its own while the scorer lives.

The server lets go of it by itself when the process dies, so nothing is left behind to clean up.
"""

from __future__ import annotations

import os
import socket
import time
from types import TracebackType
from typing import Any

import psycopg2

from activitymodule.errors import RefusedError
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, connect, explained, place

_CLASS = 72_041  # first half of the lock's key; the second is the topic
_TAKE = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
_HOLDER = """
SELECT a.application_name, a.backend_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s::bigint::oid
  AND l.objid = (hashtext(%s)::bigint & 4294967295)::oid
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class ScorerLease:
    """`with ScorerLease(settings, topic) as lease:`; raises RefusedError where another scores."""

    def __init__(self, settings: Settings, topic: str, *, patience_seconds: float = 2.0) -> None:
        self._settings = settings
        self._topic = topic
        # the server needs a moment to notice that a scorer which was killed is gone
        self._patience_seconds = patience_seconds
        self._connection: Connection = None

    def __enter__(self) -> ScorerLease:
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def check(self) -> None:
        """Make sure that the lease still holds; a lost connection is made anew, and the lease taken again.

        Raises RefusedError where somebody else took it meanwhile, ServiceUnavailableError while the store is
        away.
        """
        if self._connection is not None:
            try:
                with self._connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                return
            except psycopg2.Error:
                self.release()
        self._take()

    def release(self) -> None:
        """Let go; the same as leaving the block."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _take(self) -> None:
        name = f"activity score, pid {os.getpid()} on {socket.gethostname()}"[:63]
        connection = connect(self._settings, application_name=name)
        try:
            with explained(self._settings):
                connection.autocommit = True  # a session that sits in a transaction would hold back vacuum
                deadline = time.monotonic() + self._patience_seconds
                with connection.cursor() as cursor:
                    while True:
                        cursor.execute(_TAKE, (_CLASS, self._topic))
                        if cursor.fetchone()[0]:
                            break
                        if time.monotonic() >= deadline:
                            raise RefusedError(self._refusal(cursor))
                        time.sleep(0.1)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _refusal(self, cursor: Any) -> str:
        cursor.execute(_HOLDER, (_CLASS, self._topic))
        row = cursor.fetchone()
        who = f"{row[0]}, since {row[1]:%Y-%m-%d %H:%M:%S} UTC" if row else "another scorer"
        return (
            f"the topic {self._topic} is being scored already into PostgreSQL at {place(self._settings)} "
            f"({who}); stop that one first, or score another topic"
        )
