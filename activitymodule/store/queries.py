"""One statement and what it returns, without the cursor: within the caller's transaction, values always bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.sql import Composable

from activitymodule.store.connection import Connection

Row = tuple[Any, ...]
Json = dict[str, Any]  # an object of a column of type jsonb
Values = Sequence[Any] | Mapping[str, Any] | None


def fetch_all(connection: Connection, sql: str, values: Values = None) -> list[Row]:
    """Every row."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def fetch_row(connection: Connection, sql: str, values: Values = None) -> Row | None:
    """The first row, or None."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


def fetch_one(connection: Connection, sql: str, values: Values = None) -> Row:
    """The row of a statement that always returns one."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return only_row(cursor)


def fetch_value(connection: Connection, sql: str, values: Values = None) -> Any:
    """The first column of the row of a statement that always returns one."""
    return fetch_one(connection, sql, values)[0]


def store_clock(connection: Connection) -> datetime:
    """The time by the store's clock."""
    now: datetime = fetch_value(connection, "SELECT clock_timestamp()")
    return now


def execute(connection: Connection, sql: str | Composable, values: Values = None) -> int:
    """Run a statement; the number of rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.rowcount)


def only_row(cursor: Cursor) -> Row:
    """The next row of a cursor whose statement always returns one."""
    row = cursor.fetchone()
    assert row is not None
    return row
