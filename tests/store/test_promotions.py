"""The record of promotions: what serves, and where rollbacks lead."""

from __future__ import annotations

import pytest

from activitymodule.store.connection import Connection
from activitymodule.store.model_checks import find_check, first_accepted, newest_checks, record_check
from activitymodule.store.promotions import record_promotion, served
from activitymodule.store.queries import execute

pytestmark = pytest.mark.integration

NAME = "a-classifier"


def record(connection: Connection, *entries: str) -> list[str]:
    """The versions that served, after entries such as `promoted 3`, `rolled back 2`, `rejected 4`."""
    execute(connection, "DELETE FROM promotions WHERE name = %s", (NAME,))
    for entry in entries:
        act, version = entry.rsplit(" ", 1)
        found = served(connection, NAME)
        before = found[-1].version if found else None
        record_promotion(
            connection,
            name=NAME,
            version=version,
            before=before,
            act=act,
            by_whom="ann",
            why="",
            sha256=f"of {version}",
        )
    return [one.version for one in served(connection, NAME)]


def test_rollbacks_lead_further_back(connection: Connection) -> None:
    promoted = [f"promoted {k}" for k in (1, 2, 3, 4, 5)]
    assert record(connection, *promoted) == ["1", "2", "3", "4", "5"]
    assert record(connection, *promoted, "rolled back 4") == ["1", "2", "3", "4"]
    assert record(connection, *promoted, "rolled back 4", "rolled back 3") == ["1", "2", "3"]
    after = (*promoted, "rolled back 4", "rolled back 3", "promoted by hand 6")
    assert record(connection, *after) == ["1", "2", "3", "6"]
    assert record(connection, *after, "rolled back 3") == ["1", "2", "3"]
    assert record(connection, *promoted, "rejected 6") == ["1", "2", "3", "4", "5"]
    # a version that comes again, and one that is promoted while it serves
    assert record(connection, "promoted 1", "promoted 2", "promoted 1") == ["1", "2", "1"]
    assert record(connection, "promoted 1", "promoted 2", "promoted by hand 2") == ["1", "2"]
    assert [one.sha256 for one in served(connection, NAME)] == ["of 1", "of 2"]


def test_records_of_earlier_versions(connection: Connection) -> None:
    """There the first version was not recorded, and two rollbacks in turn changed places."""
    execute(connection, "DELETE FROM promotions WHERE name = %s", (NAME,))
    for version, before, act in (
        ("2", "1", "promoted"),
        ("1", "2", "rolled back"),
        ("2", "1", "rolled back"),
    ):
        record_promotion(
            connection, name=NAME, version=version, before=before, act=act, by_whom="ann", why=""
        )
    assert [(one.version, one.sha256) for one in served(connection, NAME)] == [("1", None), ("2", None)]


def test_outcomes_are_kept_by_files_and_libraries(connection: Connection) -> None:
    def outcome(sha256: str, environment: str, refusal: str | None) -> None:
        record_check(
            connection, name=NAME, version="3", sha256=sha256, environment=environment, refusal=refusal
        )

    outcome("aa", "numpy 1", "it crashes")
    assert first_accepted(connection, NAME, "3") is None
    outcome("bb", "numpy 1", None)
    outcome("cc", "numpy 1", None)
    found = find_check(connection, NAME, "3", "aa", "numpy 1")
    assert found is not None
    assert found.refusal == "it crashes"
    assert find_check(connection, NAME, "3", "aa", "numpy 2") is None
    # what came first stays first, whatever is checked again
    outcome("bb", "numpy 1", None)
    assert first_accepted(connection, NAME, "3") == "bb"
    connection.commit()
    outcome("aa", "numpy 1", None)
    (newest,) = newest_checks(connection, [NAME])
    assert (newest.sha256, newest.refusal) == ("aa", None)
