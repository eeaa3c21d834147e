"""What errors of PostgreSQL mean, and what is done again."""

from __future__ import annotations

import psycopg2
import pytest
from psycopg2 import errorcodes

from activitymodule.errors import (
    ActivityError,
    ConflictError,
    DataError,
    NotAllowedError,
    ReadOnlyError,
    SchemaError,
    StoreError,
    StoreUnavailableError,
    TimedOutError,
)
from activitymodule.settings import Settings, build
from activitymodule.store.connection import Connection, explained, patiently, transact, without_conflict
from activitymodule.store.queries import execute, fetch_value
from activitymodule.store.sqlstate import passes, translated

MEANINGS = {
    "08006": StoreUnavailableError,
    "22P02": DataError,
    "23514": DataError,
    "25006": ReadOnlyError,
    "25P03": StoreUnavailableError,
    "40001": ConflictError,
    "40003": StoreUnavailableError,
    "40P01": ConflictError,
    "42501": NotAllowedError,
    "42703": SchemaError,
    "42P01": SchemaError,
    "53100": StoreUnavailableError,
    "53200": StoreUnavailableError,
    "53300": StoreUnavailableError,
    "55P03": ConflictError,
    "57014": TimedOutError,
    "57P01": StoreUnavailableError,
    "57P02": StoreUnavailableError,
    "57P03": StoreUnavailableError,
    "58000": StoreUnavailableError,
    "58030": StoreUnavailableError,
    "P0001": StoreError,
    "XX000": StoreError,
}
"""SQLSTATE -> the class of the project's error."""

RAISE = "DO $$ BEGIN RAISE EXCEPTION 'it says so' USING ERRCODE = '{}'; END $$"


@pytest.mark.integration
def test_a_code_means_the_same_wherever_the_server_raises_it(fresh_settings: Settings) -> None:
    for code, kind in MEANINGS.items():
        with pytest.raises(ActivityError, match="it says so") as raised:
            transact(fresh_settings, lambda connection, code=code: execute(connection, RAISE.format(code)))  # type: ignore[misc]
        assert type(raised.value) is kind, code
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg2.OperationalError("server closed the connection unexpectedly\n\tThis"), True),
        (psycopg2.InterfaceError("connection already closed"), True),
        (psycopg2.DatabaseError("error with status PGRES_TUPLES_OK and no message from the libpq"), True),
        (psycopg2.ProgrammingError("can't adapt type 'object'"), False),
        (ValueError("a mistake"), False),
    ],
)
def test_errors_without_a_code(error: Exception, expected: bool) -> None:
    assert passes(error) is expected
    if isinstance(error, psycopg2.Error) and not expected:
        assert translated(error, "PostgreSQL") is None
        with pytest.raises(type(error)), explained(build({})):
            raise error


def test_every_code_has_a_meaning() -> None:
    class Failed(psycopg2.Error):
        pgcode = ""

    for name, code in vars(errorcodes).items():
        if name.isupper() and isinstance(code, str) and len(code) == 5:
            error = Failed("why")
            error.pgcode = code
            assert isinstance(translated(error, "PostgreSQL"), ActivityError)


def test_a_conflict_is_tried_three_times_and_nothing_else_twice() -> None:
    for kind, expected in ((ConflictError, 3), (StoreUnavailableError, 1), (TimedOutError, 1)):
        tried: list[int] = []

        def transaction(kind: type[ActivityError] = kind, tried: list[int] = tried) -> None:
            tried.append(1)
            raise kind("no")

        with pytest.raises(kind):
            without_conflict(transaction)
        assert len(tried) == expected


def test_an_outage_is_waited_for_and_a_conflict_is_not() -> None:
    outcomes: list[Exception] = [StoreUnavailableError("away")]

    def work() -> str:
        if outcomes:
            raise outcomes.pop()
        return "done"

    assert patiently(work) == "done"
    outcomes.append(ConflictError("no"))
    with pytest.raises(ConflictError):
        patiently(work)
    outcomes.append(StoreUnavailableError("away"))
    with pytest.raises(StoreUnavailableError):
        patiently(work, seconds=0)


@pytest.mark.integration
def test_a_transaction_that_lost_once_is_done_once(fresh_settings: Settings) -> None:
    add = "INSERT INTO participants (participant, age_years) VALUES ('a', 40)"
    codes = ["40P01", "40001"]

    def work(connection: Connection) -> int:
        execute(connection, add)
        if codes:
            execute(connection, RAISE.format(codes.pop()))
        return int(fetch_value(connection, "SELECT count(*) FROM participants"))

    assert transact(fresh_settings, work) == 1
