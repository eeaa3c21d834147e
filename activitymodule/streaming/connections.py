"""A connection to the store that is kept for as long as it works."""

from __future__ import annotations

import contextlib

import psycopg2

from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, connect


class KeptConnection:
    """One connection to the store, opened anew where the last one broke."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def get(self, config: Settings) -> Connection:
        """The open connection. Raises ServiceUnavailableError where the store does not answer."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(config)
        return self._connection

    def drop(self) -> None:
        """Close it, in whatever state it is: the server rolls back an open transaction."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg2.Error):
                connection.close()
