"""A pool of connections for a process that serves many requests: SQLAlchemy's, over connections of `connect`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from activitymodule.errors import StoreUnavailableError
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, connect, explained, without_conflict

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
        if self._read_only:  # readonly=False would overrule an administrator's default_transaction_read_only
            connection.set_session(readonly=True)
        with connection.cursor() as cursor:
            timeout = f"{self._statement_seconds * 1000}"
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", (timeout,))
        connection.commit()
        return connection

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for one transaction: committed at the end, rolled back on an error.

        Raises StoreUnavailableError where the store does not answer, or all connections are in use.
        """
        with explained(self._settings()):
            try:
                pooled = self._engine.raw_connection()
            except DBAPIError as error:  # in the questions that SQLAlchemy asks of its first connection
                raise (error.orig or error) from error
            except PoolTimeout:
                raise StoreUnavailableError(
                    "all connections of this process to PostgreSQL are in use; try again in some seconds"
                ) from None
            connection = cast(Connection, pooled.driver_connection)
            try:
                yield connection
                connection.commit()
            finally:
                if connection.closed:
                    pooled.invalidate()
                pooled.close()  # rolls back what was not committed

    def run(self, work: Callable[[Connection], T]) -> T:
        """`work(connection)` in one transaction, which is done again after a deadlock or serialization failure.

        A `work` that commits by itself may do nothing afterwards that must not be done twice.
        """

        def transaction() -> T:
            with self.connection() as connection:
                return work(connection)

        return without_conflict(transaction)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._engine.dispose()
