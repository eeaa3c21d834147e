"""Files of the lake into a warehouse of each kind: each once, a changed one again, and nothing where a load failed."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from lake_files import day_file, prediction_file
from own_settings import replaced

from activitymodule.errors import (
    ActivityError,
    ConfigError,
    NotAllowedError,
    QuotaError,
    ServiceUnavailableError,
    SignInRefusedError,
    StoreError,
)
from activitymodule.settings import Settings
from activitymodule.workflows.cloud.warehouse import loading
from activitymodule.workflows.cloud.warehouse.loading import LoadReport, replacing
from activitymodule.workflows.cloud.warehouse.tables import LEDGER
from activitymodule.workflows.cloud.warehouse.targets import RedshiftTarget

FILES = ("daily", "predictions")
JANUARY, FEBRUARY = date(2026, 1, 5), date(2026, 2, 5)


def load(warehouse: Any) -> LoadReport:
    return loading.load(warehouse.settings, FILES)


def counts(warehouse: Any) -> tuple[int, int]:
    """Rows of daily records, and of predictions."""
    return tuple(warehouse.rows(f"SELECT count(*) FROM {name}")[0][0] for name in FILES)


def ledger(warehouse: Any) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        f"SELECT rows_in_file, rows_loaded, line FROM {LEDGER.name} ORDER BY loaded_at, file"
    )


def test_a_file_is_loaded_once_and_a_changed_one_again(warehouse: Any) -> None:
    warehouse.put(*day_file(JANUARY, ["p1", "p2", "p3"]))
    warehouse.put(*day_file(FEBRUARY, ["p1", "p2"]))
    warehouse.put(*prediction_file(JANUARY, 4))
    report = load(warehouse)
    assert [(one.table, one.rows) for one in report.loaded] == [
        ("daily", 3),
        ("daily", 2),
        ("predictions", 4),
    ]
    assert counts(warehouse) == (5, 4)
    changes = len([one for one in warehouse.tables.transactions if "DELETE" in "".join(one)])
    again = load(warehouse)
    assert (again.loaded, again.kept, counts(warehouse)) == ((), 3, (5, 4))
    assert len([one for one in warehouse.tables.transactions if "DELETE" in "".join(one)]) == changes
    warehouse.put(*day_file(JANUARY, ["p1"]))
    assert [one.rows for one in load(warehouse).loaded] == [1]
    assert counts(warehouse) == (3, 4), "two people left the file, and February stays"
    assert ledger(warehouse) == [(3, 3, 1), (2, 2, 1), (4, 4, 1), (1, 1, 2)]


def test_the_same_content_again_after_another_one(warehouse: Any) -> None:
    for people in (["p1"], ["p2"], ["p1"]):
        warehouse.put(*day_file(JANUARY, people))
        assert [one.rows for one in load(warehouse).loaded] == [1]
        assert warehouse.rows("SELECT participant FROM daily") == [(people[0],)]
    assert [line for _, _, line in ledger(warehouse)] == [1, 2, 3]


def test_an_erased_person_and_a_file_that_is_gone_leave_the_tables(warehouse: Any) -> None:
    warehouse.put(*day_file(JANUARY, ["p1", "p2"]))
    warehouse.put(*day_file(FEBRUARY, ["p1"]))
    name, rows = prediction_file(JANUARY, 4)
    warehouse.put(name, rows)
    load(warehouse)
    # as an erasure leaves them: a month without rows has no file, a day of predictions has one without rows
    warehouse.put(*day_file(JANUARY, ["p2"]))
    warehouse.remove(day_file(FEBRUARY, [])[0])
    warehouse.put(name, rows.slice(0, 0))
    report = load(warehouse)
    assert [(one.table, one.rows) for one in report.loaded] == [
        ("daily", 1),
        ("daily", 0),
        ("predictions", 0),
    ]
    assert warehouse.rows("SELECT participant FROM daily") == [("p2",)]
    assert counts(warehouse) == (1, 0)
    assert load(warehouse).loaded == (), "what is gone is removed once"
    warehouse.put(*day_file(FEBRUARY, ["p3"]))
    load(warehouse)
    assert counts(warehouse) == (2, 0)


@pytest.mark.parametrize(
    "statement", ["SELECT 1 / CASE", "DELETE", "INSERT INTO daily", "INSERT INTO activity_loads"]
)
def test_a_load_that_fails_has_no_effect_and_goes_on(warehouse: Any, statement: str) -> None:
    warehouse.put(*day_file(JANUARY, ["p1", "p2", "p3"]))
    load(warehouse)
    warehouse.put(*day_file(JANUARY, ["p1", "p2", "p3", "p4", "p5"]))
    warehouse.tables.fail_at = statement
    with pytest.raises(StoreError, match="told to fail"):
        load(warehouse)
    assert counts(warehouse)[0] == 3
    assert [one.rows for one in load(warehouse).loaded] == [5]
    assert counts(warehouse)[0] == 5
    assert [rows for rows, *_ in ledger(warehouse)] == [3, 5]


class KilledError(BaseException):
    """The process is gone: nothing catches it."""


def test_killed_after_each_call_of_redshift_it_loads_once(redshift_warehouse: Any) -> None:
    """tests/workflows/cloud/warehouse/test_bigquery.py has the same of BigQuery."""
    own = redshift_warehouse
    people: list[list[str]] = [["p1"], ["p2", "p3"]]
    calls = 0
    for number in itertools.count(1):
        now = people[number % 2]
        own.put(*day_file(JANUARY, now))
        counted = itertools.count(1)

        def kill(counted: Iterator[int] = counted, number: int = number) -> None:
            nonlocal calls
            calls = next(counted)
            if calls == number:
                raise KilledError

        own.tables.after_call = kill
        with contextlib.suppress(KilledError):
            load(own)
        own.tables.after_call = lambda: None
        load(own)
        assert own.rows("SELECT participant FROM daily ORDER BY 1") == [(one,) for one in now]
        assert ledger(own)[-1] == (len(now), len(now), number), f"killed after call {number}"
        if number > calls:
            break
    assert calls > 10
    assert len(ledger(own)) == number


def test_rows_that_do_not_arrive_end_the_load(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse.put(*day_file(JANUARY, ["p1", "p2", "p3"]))
    monkeypatch.setattr(
        loading,
        "replacing",
        lambda *given: [one.replace("count(*) = 3", "count(*) = 4") for one in replacing(*given)],
    )
    with pytest.raises(StoreError, match="division by zero"):
        load(warehouse)
    assert counts(warehouse) == (0, 0)


def test_of_two_loads_at_once_one_counts(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read the ledger before either writes."""
    warehouse.put(*day_file(JANUARY, ["p1", "p2"]))
    load(warehouse)
    warehouse.put(*day_file(JANUARY, ["p1"]))
    both = threading.Barrier(2, timeout=60)
    real = loading.described

    def described(address: str) -> Any:
        both.wait()
        return real(address)

    monkeypatch.setattr(loading, "described", described)
    failures: list[StoreError] = []

    def one() -> None:
        try:
            load(warehouse)
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    # BigQuery takes the second one's job for the first one's: both then have their result
    assert len(failures) <= 1
    assert [line for _, _, line in ledger(warehouse)] == [1, 2]
    assert counts(warehouse)[0] == 1


def test_files_and_tables_of_former_versions(warehouse: Any) -> None:
    warehouse.put(*day_file(JANUARY, ["p1", "p2"], without="steps"))
    load(warehouse)
    assert warehouse.rows("SELECT DISTINCT steps FROM daily") == [(None,)]
    warehouse.forget_column("daily", "steps")
    warehouse.put(*day_file(FEBRUARY, ["p1", "p2"]))
    load(warehouse)
    assert warehouse.rows("SELECT max(steps) FROM daily") == [(1000.0,)]
    assert counts(warehouse) == (4, 0)


def test_a_ledger_of_before_without_lines(redshift_warehouse: Any) -> None:
    redshift_warehouse.put(*day_file(JANUARY, ["p1"]))
    load(redshift_warehouse)
    redshift_warehouse.forget_column(LEDGER.name, "line")
    assert load(redshift_warehouse).kept == 1
    redshift_warehouse.put(*day_file(JANUARY, ["p1", "p2"]))
    load(redshift_warehouse)
    assert [line for _, _, line in ledger(redshift_warehouse)] == [None, 1]
    assert load(redshift_warehouse).kept == 1


def test_nested_columns_arrive(warehouse: Any) -> None:
    warehouse.put(*day_file(JANUARY, ["p1", "p2"]))
    warehouse.put(*prediction_file(JANUARY, 2))
    load(warehouse)
    if warehouse.kind == "bigquery":
        sql = "SELECT list_sum(list_transform(minutes.key_value, lambda x: x.value)) FROM daily ORDER BY participant"
        assert warehouse.rows(sql) == [(None,), (91.0,)]
        assert warehouse.rows("SELECT conformal_set FROM predictions ORDER BY window_start") == [
            ([],),
            (["sitting"],),
        ]
    else:
        sql = "SELECT CAST(minutes->>'sitting' AS DOUBLE) FROM daily ORDER BY participant"
        assert warehouse.rows(sql) == [(None,), (61.0,)]
        sql = "SELECT conformal_set FROM predictions ORDER BY window_start"
        assert warehouse.rows(sql) == [(None,), ('["sitting"]',)]


@pytest.mark.parametrize(
    ("part", "match"),
    [
        ({"lake": {"folder": "lake"}}, r"lake\.folder"),
        ({"lake": {"folder": "s3://raw"}, "cloud": {"redshift": None}}, r"cloud\.redshift"),
        ({"lake": {"folder": "gs://raw"}, "cloud": {"bigquery": None}}, r"cloud\.bigquery"),
    ],
)
def test_what_is_missing_is_said(part: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        loading.load(replaced(Settings(), **part))
    with pytest.raises(ConfigError, match="no table steps"):
        loading.load(replaced(Settings(), **part), ["steps"])


def test_texts_are_quoted() -> None:
    target = RedshiftTarget.__new__(RedshiftTarget)
    assert target.text("it's") == "'it''s'"


@pytest.mark.parametrize("call", ["BatchExecuteStatement", "DescribeStatement"])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDeniedException", NotAllowedError),
        ("ThrottlingException", ServiceUnavailableError),
        ("ExpiredTokenException", SignInRefusedError),
        ("ActiveStatementsExceededException", QuotaError),
    ],
)
def test_what_redshift_refuses_is_one_sentence_and_goes_on(
    redshift_warehouse: Any, call: str, code: str, error: type[ActivityError]
) -> None:
    """Refused as the statement is asked for, or as it is waited for: then it has an effect, and is not repeated."""
    own = redshift_warehouse
    own.put(*day_file(JANUARY, ["p1"]))
    load(own)
    own.put(*day_file(JANUARY, ["p1", "p2"]))
    before = len(own.tables.transactions)

    def refuse(operation: str) -> str | None:
        copied = any("COPY" in one for part in own.tables.transactions[before:] for one in part)
        return code if operation == call and copied == (call == "DescribeStatement") else None

    own.tables.refuse = refuse
    with pytest.raises(error) as caught:
        load(own)
    assert "\n" not in str(caught.value)
    assert counts(own)[0] == {"BatchExecuteStatement": 1, "DescribeStatement": 2}[call]
    own.tables.refuse = lambda operation: None
    load(own)
    assert counts(own)[0] == 2
    assert ledger(own) == [(1, 1, 1), (2, 2, 2)]
