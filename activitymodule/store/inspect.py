"""Read-only queries of users, and a summary of what the store holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2
import psycopg2.errors

from activitymodule.errors import ConfigError
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, session
from activitymodule.store.queries import fetch_all, fetch_one, fetch_value
from activitymodule.store.values import read_anything

# Opened as a cursor of the server: a cursor takes one statement, and only one that returns rows. The text is passed
# as the bound value of a custom setting.
_OPEN = """
DO $$
DECLARE answer refcursor := 'user_query';
BEGIN
    OPEN answer FOR EXECUTE current_setting('activity.user_query');
END
$$
"""


@dataclass(frozen=True)
class Answer:
    """Rows of a query. more : there are rows beyond the limit"""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool


def ask(config: Settings, sql: str, *, limit: int = 1000, seconds: float = 30) -> Answer:
    """Run one statement in a read-only transaction; at most `limit` rows, at most `seconds` long.

    Raises ConfigError for an invalid statement, one that takes too long and one that returns no rows.
    """
    with (
        session(config, read_only=True, statement_seconds=seconds) as connection,
        connection.cursor() as cursor,
    ):
        read_anything(cursor)
        try:
            cursor.execute(
                "SELECT set_config('activity.user_query', %s, true)", (sql.strip().rstrip("; \n"),)
            )
            cursor.execute(_OPEN)
            cursor.execute("FETCH %s FROM user_query", (limit + 1,))
            rows = cursor.fetchall()
        except psycopg2.errors.QueryCanceled as error:
            raise ConfigError(
                f"the query took longer than {seconds:g} s; allow it more with --timeout"
            ) from error
        except psycopg2.OperationalError:
            raise
        except psycopg2.Error as error:
            raise ConfigError(f"the query is rejected: {_reason(error)}") from error
        columns = _unique([column.name for column in cursor.description or ()])
    return Answer(columns, rows[:limit], len(rows) > limit)


def _unique(names: list[str]) -> tuple[str, ...]:
    """Unique names of columns: a repeated name gets _2, so that JSON objects lose none."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(unique)


def _reason(error: psycopg2.Error) -> str:
    diagnosis = error.diag
    message = diagnosis.message_primary or (str(error).splitlines() or ["unknown"])[0]
    return f"{message} ({diagnosis.message_hint})" if diagnosis.message_hint else message


@dataclass(frozen=True)
class Summary:
    """Counts over the whole store."""

    predictions: int
    with_activity: int
    watches: int
    first_window: datetime | None
    last_window: datetime | None
    last_written: datetime | None
    people: int
    dead_letters: int
    batches: int
    unfinished_batches: int
    dropped_late: int
    model_versions: list[str]
    megabytes: float
    activities: dict[str, int]


_SUMMARY = """
SELECT (SELECT count(*) FROM predictions) AS predictions,
       (SELECT count(activity) FROM predictions) AS with_activity,
       (SELECT count(DISTINCT device_id) FROM predictions) AS watches,
       (SELECT min(window_start) FROM predictions) AS first_window,
       (SELECT max(window_start) FROM predictions) AS last_window,
       (SELECT max(processed_at) FROM predictions) AS last_written,
       (SELECT count(*) FROM participants) AS people,
       (SELECT count(*) FROM dead_letters) AS dead_letters,
       (SELECT count(*) FROM batches) AS batches,
       (SELECT count(*) FROM batches WHERE finished_at IS NULL) AS unfinished_batches,
       (SELECT coalesce(sum(dropped_late), 0)::bigint FROM batches) AS dropped_late,
       (SELECT coalesce(array_agg(name || ' ' || version ORDER BY registered_at), '{}') FROM model_versions)
           AS model_versions,
       round(pg_database_size(current_database()) / 1e6, 1)::double precision AS megabytes,
       (SELECT coalesce(json_object_agg(activity, windows ORDER BY windows DESC, activity), '{}')
        FROM (SELECT coalesce(smoothed_activity, activity) AS activity, count(*) AS windows FROM predictions
              WHERE activity IS NOT NULL GROUP BY 1) AS counts) AS activities
"""


def summarize(connection: Connection) -> Summary:
    """Counts over the whole store; reads all of it."""
    return Summary(*fetch_one(connection, _SUMMARY))


@dataclass(frozen=True)
class TableSize:
    """A table of the store. rows : the planner's estimate, None before its first count"""

    name: str
    rows: int | None
    megabytes: float


# A partition counts for the table that it is part of.
_TABLES = """
SELECT coalesce(i.inhparent, c.oid)::regclass::text,
       CASE WHEN max(c.reltuples) >= 0 THEN sum(greatest(c.reltuples, 0))::bigint END,
       round(sum(pg_total_relation_size(c.oid)) / 1e6, 2)::double precision
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
GROUP BY 1 ORDER BY 1
"""


def table_sizes(connection: Connection) -> list[TableSize]:
    """Every table with its size, indexes included."""
    return [TableSize(*row) for row in fetch_all(connection, _TABLES)]


def server_version(connection: Connection) -> str:
    """Version of the PostgreSQL server."""
    return str(fetch_value(connection, "SHOW server_version"))
