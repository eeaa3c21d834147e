"""The pool of connections of the console."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from activitymodule.errors import DataError, ReadOnlyError, ServiceUnavailableError
from activitymodule.settings import Settings
from activitymodule.store.pool import Pool
from activitymodule.store.queries import execute, fetch_all, fetch_value

pytestmark = pytest.mark.integration

PID = "SELECT pg_backend_pid()"


def make_pool(config: Settings, *, read_only: bool = False, size: int = 2) -> Pool:
    return Pool(
        lambda: config, application_name="a test", read_only=read_only, statement_seconds=5, size=size
    )


@pytest.fixture
def pool(fresh_settings: Settings) -> Iterator[Pool]:
    pool = make_pool(fresh_settings)
    yield pool
    pool.close()


def test_a_connection_is_used_again(pool: Pool) -> None:
    first = pool.run(lambda connection: fetch_value(connection, PID))
    assert pool.run(lambda connection: fetch_value(connection, PID)) == first
    assert pool.run(lambda connection: fetch_value(connection, "SHOW statement_timeout")) == "5s"


def test_at_most_so_many_connections(fresh_settings: Settings, pool: Pool) -> None:
    with ThreadPoolExecutor(8) as threads:
        work = "SELECT pg_sleep(0.05), pg_backend_pid()"
        rows = threads.map(lambda _: pool.run(lambda connection: fetch_all(connection, work)), range(24))
    assert len({row[0][1] for row in rows}) <= 4


def test_work_is_committed_whole_or_not_at_all(pool: Pool) -> None:
    add = "INSERT INTO participants (participant, age_years) VALUES (%s, %s)"

    def fails(connection: object) -> None:
        execute(connection, add, ("a", 40))
        execute(connection, add, ("b", 999))

    with pytest.raises(DataError):
        pool.run(fails)
    assert pool.run(lambda connection: fetch_all(connection, "SELECT participant FROM participants")) == []
    pool.run(lambda connection: execute(connection, add, ("a", 40)))
    assert pool.run(lambda connection: fetch_all(connection, "SELECT participant FROM participants")) == [
        ("a",)
    ]


def test_a_restart_goes_unnoticed_and_a_broken_connection_is_replaced(
    fresh_settings: Settings, pool: Pool
) -> None:
    other = make_pool(fresh_settings)
    kill = "SELECT pg_terminate_backend(%s)"
    first = pool.run(lambda connection: fetch_value(connection, PID))
    waited = "SELECT pg_terminate_backend(%s, 60000)"  # until it is gone
    other.run(lambda connection: execute(connection, waited, (first,)))
    second = pool.run(lambda connection: fetch_value(connection, PID))
    assert second != first

    def ends_itself(connection: object) -> None:
        execute(connection, kill, (fetch_value(connection, PID),))

    with pytest.raises(ServiceUnavailableError):
        pool.run(ends_itself)
    assert pool.run(lambda connection: fetch_value(connection, PID)) != second
    other.close()


@pytest.mark.parametrize("alone", [False, True])
def test_a_read_only_pool_writes_nothing(fresh_settings: Settings, alone: bool) -> None:
    pool = make_pool(fresh_settings, read_only=True)
    with pytest.raises(ReadOnlyError):
        pool.run(lambda connection: execute(connection, "DELETE FROM participants"), alone=alone)
    pool.close()


def test_a_statement_alone_is_committed_whatever_follows(pool: Pool) -> None:
    def fails(connection: object, name: str) -> None:
        execute(connection, "INSERT INTO participants (participant) VALUES (%s)", (name,))
        raise DataError("after it")

    for name, alone in (("a", True), ("b", False)):  # by the same connection
        with pytest.raises(DataError):
            pool.run(lambda connection, name=name: fails(connection, name), alone=alone)
    assert pool.run(lambda connection: fetch_all(connection, "SELECT participant FROM participants")) == [
        ("a",)
    ]
