"""A pool of connections for a process that serves many requests: SQLAlchemy's, over connections of `connect`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from sqlalchemy import create_engine

from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, connect, explained

T = TypeVar("T")


class Pool:
    """Keeps `size` connections, and opens as many more under load.

    Each is checked before use, so that a restart of PostgreSQL goes unnoticed.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        *,
        application_name: str,
        read_only: bool,
        statement_seconds: int,
        size: int,
    ) -> None:
        """Prepare the pool without opening a connection.

        settings : called when a connection is opened
        statement_seconds : the longest a statement may run
        """
        self._settings = settings
        self._application_name = application_name
        self._read_only = read_only
        self._statement_seconds = statement_seconds
        self._engine = create_engine(
            "postgresql+psycopg2://",
            creator=self._open,
            pool_size=size,
            max_overflow=size,
            pool_pre_ping=True,
        )

    def _open(self) -> Connection:
        connection = connect(self._settings(), application_name=self._application_name)
        connection.set_session(readonly=self._read_only)
        with connection.cursor() as cursor:
            timeout = f"{self._statement_seconds * 1000}"
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", (timeout,))
        connection.commit()
        return connection

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for one transaction: committed at the end, rolled back on an error.

        Raises ServiceUnavailableError where the store does not answer.
        """
        pooled = self._engine.raw_connection()
        connection = cast(Connection, pooled.driver_connection)
        try:
            with explained(self._settings()):
                yield connection
                connection.commit()
        finally:
            if connection.closed:
                pooled.invalidate()
            pooled.close()  # rolls back what was not committed

    def run(self, work: Callable[[Connection], T]) -> T:
        """`work(connection)` in one transaction."""
        with self.connection() as connection:
            return work(connection)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._engine.dispose()
