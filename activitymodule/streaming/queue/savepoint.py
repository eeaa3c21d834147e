"""A part of somebody else's transaction that can be rolled back alone."""

from __future__ import annotations

from activitymodule.store.connection import Connection
from activitymodule.store.sqlstate import passes


class Savepoint:
    """Set at the first use of the connection, so that a part that needs no query costs none."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._begun = False

    def connection(self) -> Connection:
        """The connection; from the first call on `undo` rolls back to here."""
        if not self._begun:
            self._execute(f"SAVEPOINT {self._name}")
            self._begun = True
        return self._connection

    def undo(self, error: Exception) -> None:
        """Roll back. Raises the error where it passes by waiting: then the whole transaction is done again."""
        if self._connection.closed or passes(error):
            raise error
        if self._begun:
            self._execute(f"ROLLBACK TO SAVEPOINT {self._name}")

    def _execute(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
