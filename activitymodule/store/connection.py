"""Connections to the store, and its errors as errors of the project."""

from __future__ import annotations

import logging
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg2
import psycopg2.extensions

from activitymodule.errors import (
    ActivityError,
    ConfigError,
    ConflictError,
    NotAllowedError,
    StoreUnavailableError,
)
from activitymodule.settings import Settings
from activitymodule.store.sqlstate import first_line, translated
from activitymodule.store.values import read_far_times
from activitymodule.text import storable

Connection = psycopg2.extensions.connection

T = TypeVar("T")

_log = logging.getLogger(__name__)

_ATTEMPTS = 3


def _adapted(text: str) -> psycopg2.extensions.QuotedString:
    """A text as a bound value: what the store cannot hold ends in no stack trace, wherever it came from."""
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

    Raises StoreUnavailableError where the store does not answer within `seconds`, ConfigError where it rejects the
    user or password.
    """
    try:
        connection = psycopg2.connect(
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
    read_far_times(connection)
    return connection


# libpq gives an error of the connection itself no SQLSTATE, only the server's text
_NOT_ALLOWED = ("permission denied for database", "no pg_hba.conf entry", "not permitted to log in")


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
    reason = message.strip().partition("FATAL:")[2].strip().partition("\n")[0]
    if any(words in message for words in _NOT_ALLOWED):
        return NotAllowedError(
            f"{at} does not let {store.user} in ({reason or message.strip()}); let its administrator allow it"
        )
    if f'database "{store.database}" does not exist' in message:
        return StoreUnavailableError(f"{at} has no database {store.database} yet; `activity up` creates it")
    if "too many" in message or "connection slots" in message:
        return StoreUnavailableError(
            f"{at} has no connection left ({reason}); stop processes that use it, or try again"
        )
    if reason:  # it starts, stops, recovers ...
        return StoreUnavailableError(f"{at} takes no connection now ({reason}); try again in some seconds")
    # several lines where there are several addresses
    reason = first_line(message).rpartition("failed: ")[2]
    return StoreUnavailableError(f"{at} does not answer ({reason}); start it with `activity up`")


@contextmanager
def explained(config: Settings) -> Iterator[None]:
    """Turn errors of psycopg2 within the block into errors of the project (sqlstate.py)."""
    try:
        yield
    except psycopg2.Error as error:
        meant = translated(error, f"PostgreSQL at {place(config)}")
        if meant is None:
            raise
        raise meant from error


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


def without_conflict(transaction: Callable[[], T]) -> T:
    """What a function returns that does one whole transaction; done again, twice at most, after a ConflictError.

    Raises the ConflictError of the last attempt.
    """
    for attempt in range(1, _ATTEMPTS):
        try:
            return transaction()
        except ConflictError:
            # not in step with the other transaction
            time.sleep(random.uniform(0.01, 0.05 * attempt))
    return transaction()


def patiently(work: Callable[[], T], seconds: float = 180) -> T:
    """`work()`, which may be done twice; done again for so long while it ends with StoreUnavailableError."""
    deadline = time.monotonic() + seconds
    logged = False
    while True:
        try:
            return work()
        except StoreUnavailableError as error:
            # a conflict has been tried again already
            if isinstance(error, ConflictError) or time.monotonic() >= deadline:
                raise
            if not logged:
                _log.warning("%s; waiting for it", error)
                logged = True
            time.sleep(1)


def transact(config: Settings, work: Callable[[Connection], T]) -> T:
    """`work(connection)` in one transaction, which is done again after a deadlock or serialization failure.

    Nothing but the transaction may come of `work`: it may run three times.
    """

    def transaction() -> T:
        with session(config) as connection:
            return work(connection)

    return without_conflict(transaction)
