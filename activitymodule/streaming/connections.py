"""A connection to the store that is kept for as long as it works."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

import psycopg2

from activitymodule.errors import StoreUnavailableError
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, connect, explained, without_conflict

T = TypeVar("T")


class KeptConnection:
    """One connection to the store, opened anew where the last one broke."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def run(self, config: Settings, work: Callable[[Connection], T]) -> T:
        """`work(connection)` in one transaction, which is done again after a deadlock or serialization failure.

        So it is where the kept connection broke: nothing but the transaction may come of `work`, and doing it twice
        must change nothing. Raises errors of the project; after any error the next call opens the connection anew.
        """
        return without_conflict(lambda: self._once(config, work))

    def _once(self, config: Settings, work: Callable[[Connection], T]) -> T:
        kept = self._connection is not None and not self._connection.closed
        try:
            with explained(config):
                if self._connection is None or self._connection.closed:
                    self._connection = connect(config)
                result = work(self._connection)
                self._connection.commit()
                return result
        except BaseException as error:
            broke = self._connection is not None and bool(self._connection.closed)
            self.drop()
            if kept and broke and isinstance(error, StoreUnavailableError):
                # the server ended it meanwhile, such as in a restart
                return self._once(config, work)
            raise

    def drop(self) -> None:
        """Close it, in whatever state it is: the server rolls back an open transaction."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg2.Error):
                connection.close()
