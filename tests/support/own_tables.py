"""Tables of a warehouse in DuckDB, which runs statements of another dialect as sqlglot translates them."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot


class OwnTables:
    """A database. transactions : the statements of each; fail_at : one with this text fails, once."""

    def __init__(self, dialect: str) -> None:
        self.transactions: list[list[str]] = []
        self.fail_at: str | None = None
        self._dialect = dialect
        self._database = duckdb.connect(":memory:")
        self._database.execute("SET TimeZone = 'UTC'")
        self._lock = threading.RLock()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query of DuckDB."""
        with self._lock:
            return self._database.execute(query).fetchall()

    def run(self, statements: Sequence[str]) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Columns and rows of the last of these statements, which are one transaction. Raises duckdb.Error."""
        with self._lock:
            self.transactions.append(list(statements))
            self._database.execute("BEGIN TRANSACTION")
            try:
                found: tuple[list[str], list[tuple[Any, ...]]] = ([], [])
                for one in statements:
                    if self.fail_at and self.fail_at in one:
                        self.fail_at = None
                        raise duckdb.Error("told to fail")
                    found = self.execute(one)
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
            return found

    def execute(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """One statement."""
        return self._plain(sqlglot.transpile(statement, read=self._dialect, write="duckdb")[0])

    def columns(self, table: str) -> dict[str, str]:
        """Names and DuckDB's types of a table; {} where there is none."""
        with self._lock:
            query = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = ?"
            return dict(self._database.execute(query, [table]).fetchall())

    def take(self, table: str, rows: pa.Table) -> None:
        """Make a table of rows."""
        with self._lock:
            self._database.register("arriving", rows)
            self._database.execute(f"CREATE TABLE {table} AS SELECT * FROM arriving")
            self._database.unregister("arriving")

    def insert(self, table: str, rows: pa.Table) -> None:
        """Add rows, column by name."""
        with self._lock:
            self._database.register("arriving", rows)
            self._database.execute(f"INSERT INTO {table} BY NAME SELECT * FROM arriving")
            self._database.unregister("arriving")

    def _plain(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        with self._lock:
            cursor = self._database.execute(statement)
            names = [one[0] for one in cursor.description or ()]
            rows = cursor.fetchall()
        # DuckDB gives NULL or infinity
        if re.match(r"SELECT\s+1\s*/", statement) and rows != [(1,)]:
            raise duckdb.Error("division by zero")
        return names, rows
