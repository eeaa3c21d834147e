"""A PostgreSQL that refuses: errors raised by the real server, by SQLSTATE, and a database that is read-only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from psycopg2 import sql

from activitymodule.embedded.postgres import Postgres
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.queries import execute, fetch_value

MAKE = """
CREATE SEQUENCE IF NOT EXISTS refusals;
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- a sequence also counts what is rolled back
    IF nextval('refusals') <= TG_ARGV[1]::bigint THEN
        RAISE EXCEPTION 'it says so' USING ERRCODE = TG_ARGV[0];
    END IF;
    RETURN NULL;
END $$
"""


def refuse(settings: Settings, act: str, code: str, times: int = 1_000_000) -> None:
    """From now on the server raises `code` at statements such as `INSERT ON users`, so many times."""
    relax(settings, act)
    with session(settings) as connection:
        execute(connection, MAKE)
        execute(connection, "SELECT setval('refusals', 1, false)")
        execute(
            connection,
            f"CREATE TRIGGER refusing BEFORE {act} FOR EACH STATEMENT EXECUTE FUNCTION refuse('{code}', {times})",
        )


def relax(settings: Settings, act: str) -> int:
    """End it; how many statements were tried since the last `refuse`."""
    with session(settings) as connection:
        execute(connection, MAKE)
        execute(connection, f"DROP TRIGGER IF EXISTS refusing ON {act.split()[-1]}")
        return int(
            fetch_value(connection, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM refusals")
        )


@contextmanager
def read_only(settings: Settings) -> Iterator[None]:
    """A database whose sessions are read-only, as after a failover; those that are open are ended."""
    name = sql.Identifier(settings.store.database)
    with closing(Postgres(settings).connect()) as admin, admin.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
        end_sessions(settings)
        try:
            yield
        finally:
            cursor.execute(sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(name))
            end_sessions(settings)


def end_sessions(settings: Settings) -> None:
    """End every session of the database."""
    with closing(Postgres(settings).connect()) as admin, admin.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (settings.store.database,),
        )
