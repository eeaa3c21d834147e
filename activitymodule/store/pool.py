"""A pool of connections for a process that serves many requests: SQLAlchemy's, over connections of `connect`."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from sqlalchemy import create_engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from activitymodule.errors import StoreUnavailableError
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, connect, explained, without_conflict

T = TypeVar("T")


class Pool:
    """Keeps `size` connections, and opens as many more under load; the one that was used last is used next.

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
            pool_use_lifo=True,
        )
        ping = self._engine.dialect.do_ping

        def alive(dbapi_connection: DBAPIConnection) -> bool:
            # an end is heard without a question, which takes as long as a statement of a request
            return not _heard(cast(Connection, dbapi_connection)) or ping(dbapi_connection)

        self._engine.dialect.do_ping = alive  # type: ignore[method-assign]

    def _open(self) -> Connection:
        connection = connect(self._settings(), application_name=self._application_name)
        # `off` would overrule an administrator's default_transaction_read_only
        own = {"default_transaction_read_only": "on"} if self._read_only else {}
        with connection.cursor() as cursor:
            for name, value in (own | {"statement_timeout": f"{self._statement_seconds * 1000}"}).items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.commit()
        return connection

    @contextmanager
    def connection(self, *, alone: bool = False) -> Iterator[Connection]:
        """A connection for one transaction: committed at the end, rolled back on an error.

        alone : each statement is a transaction of its own, without the round trips of one around them

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
                connection.autocommit = alone
                yield connection
                connection.commit()
            finally:
                if connection.closed:
                    pooled.invalidate()
                elif alone:
                    connection.autocommit = False
                pooled.close()  # rolls back what was not committed

    def run(self, work: Callable[[Connection], T], *, alone: bool = False) -> T:
        """`work(connection)` in one transaction, which is done again after a deadlock or serialization failure.

        alone : as of `connection`

        A `work` that commits by itself may do nothing afterwards that must not be done twice.
        """

        def transaction() -> T:
            with self.connection(alone=alone) as connection:
                return work(connection)

        return without_conflict(transaction)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._engine.dispose()


def _heard(connection: Connection) -> bool:
    """Whether an idle connection holds something to read: the server's last words, or the end."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
