"""Connections to the store, and its errors as errors of the project."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions

from activitymodule.errors import ActivityError, ConfigError, DataError, ServiceUnavailableError
from activitymodule.settings import Settings
from activitymodule.text import storable

Connection = psycopg2.extensions.connection


def _adapted(text: str) -> psycopg2.extensions.QuotedString:
    """A text as a bound value: what the store cannot hold ends in no stack trace, at whatever door it came in."""
    return psycopg2.extensions.QuotedString(storable(text))


psycopg2.extensions.register_adapter(str, _adapted)

# On a broken network a session, and with it a lock, must end earlier than after TCP's default of two hours.
_OPTIONS = (
    "-c timezone=UTC -c client_min_messages=warning -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 "
    "-c tcp_keepalives_count=3"
)


def place(config: Settings) -> str:
    """`host:port` of the store, for messages."""
    return f"{config.store.host}:{config.store.port}"


def connection_arguments(config: Settings) -> dict[str, Any]:
    """Arguments of psycopg2.connect for the store."""
    store = config.store
    password = {} if store.password is None else {"password": store.password.get_secret_value()}
    return {
        "host": store.host,
        "port": store.port,
        "dbname": store.database,
        "user": store.user,
        "sslmode": store.sslmode,
        **password,
    }


def psql_environment(config: Settings) -> dict[str, str]:
    """The arguments as environment variables of psql and other programs of PostgreSQL."""
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "dbname": "PGDATABASE",
        "user": "PGUSER",
        "sslmode": "PGSSLMODE",
        "password": "PGPASSWORD",
    }
    return {names[key]: str(value) for key, value in connection_arguments(config).items()}


def default_name() -> str:
    """This process's name in pg_stat_activity: process number and host."""
    return f"activity pid {os.getpid()} on {socket.gethostname()}"[:63]


def connect(config: Settings, *, application_name: str | None = None, seconds: int = 5) -> Connection:
    """Open a psycopg2 connection in UTC; transactions begin implicitly and the caller commits.

    Raises ServiceUnavailableError where the store does not answer within `seconds`, ConfigError where it rejects the
    user or password.
    """
    try:
        return psycopg2.connect(
            **connection_arguments(config),
            options=_OPTIONS,
            connect_timeout=max(2, seconds),
            application_name=application_name or default_name(),
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
    except psycopg2.OperationalError as error:
        raise _refusal(config, str(error)) from error


def _refusal(config: Settings, message: str) -> ActivityError:
    store = config.store
    at = f"PostgreSQL at {place(config)}"
    if "no password supplied" in message:
        return ConfigError(
            f"{at} requires the password of {store.user}: set ACTIVITY_STORE__PASSWORD in .env "
            "(./init.sh generates one)"
        )
    if "authentication failed" in message or (
        f'role "{store.user}"' in message and "does not exist" in message
    ):
        return ConfigError(
            f"{at} rejects the user {store.user}: ACTIVITY_STORE__PASSWORD in .env is not the password "
            "it was set up with"
        )
    if f'database "{store.database}" does not exist' in message:
        return ServiceUnavailableError(f"{at} has no database {store.database} yet; `activity up` creates it")
    if "too many" in message or "connection slots" in message:
        return ServiceUnavailableError(
            f"{at} has no connection left; stop processes that use it, or try again"
        )
    if "starting up" in message or "shutting down" in message or "recovery" in message:
        return ServiceUnavailableError(f"{at} is not ready yet; try again in some seconds")
    return ServiceUnavailableError(f"{at} does not answer; start it with `activity up`")


def reachable(config: Settings) -> bool:
    """Whether the store accepts connections now. Raises ConfigError for a wrong password."""
    try:
        connect(config, seconds=2).close()
    except ServiceUnavailableError:
        return False
    return True


@contextmanager
def explained(config: Settings) -> Iterator[None]:
    """Turn errors of psycopg2 within the block into errors of the project."""
    try:
        yield
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedFunction) as error:
        raise ServiceUnavailableError(
            f"the store at {place(config)} lacks a table or function ({_first_line(error)}); "
            "run `activity db upgrade`"
        ) from error
    except (psycopg2.errors.CheckViolation, psycopg2.DataError) as error:
        raise DataError(f"the store rejects a value: {_first_line(error)}") from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise ServiceUnavailableError(
            f"the connection to PostgreSQL at {place(config)} broke ({_first_line(error)}); try again, "
            "or start it with `activity up`"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def session(
    config: Settings, *, read_only: bool = False, statement_seconds: float | None = None
) -> Iterator[Connection]:
    """A connection for one transaction: committed at the end, rolled back on an error, always closed."""
    connection = connect(config)
    try:
        with explained(config):
            if read_only:
                connection.set_session(readonly=True)
            if statement_seconds is not None:
                with connection.cursor() as cursor:
                    # SET takes no bound values; set_config is the same as a function
                    cursor.execute(
                        "SELECT set_config('statement_timeout', %s, false)",
                        (f"{int(statement_seconds * 1000)}",),
                    )
                connection.commit()
            yield connection
            connection.commit()
    finally:
        connection.close()
