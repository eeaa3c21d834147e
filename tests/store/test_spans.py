"""Spans: append-only, a later one has the moment, an undo brings back what was there, a file comes back as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from activitymodule.errors import AlreadyUndoneError, DataError
from activitymodule.lake.span_csv import spans_from_csv, spans_to_csv
from activitymodule.learning.spans import stretches
from activitymodule.store import spans
from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all
from activitymodule.store.spans import SpanRow

pytestmark = pytest.mark.integration

TEN = datetime(2026, 9, 21, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def give(connection: Connection, first: float, last: float, label: str, who: str = "anna") -> int:
    """A span of some hours after ten, answered now."""
    return spans.add_span(
        connection, "w", TEN + first * HOUR, TEN + last * HOUR, label, annotator=who, origin="console"
    ).span_id


def row(first: float, last: float, label: str, **more: Any) -> SpanRow:
    return SpanRow("w", TEN + first * HOUR, TEN + last * HOUR, label, "diary", **more)


def moments(connection: Connection) -> list[tuple[float, float, str]]:
    """The label of each moment, in hours after ten."""
    given = [
        (round((one.span_start - TEN) / HOUR * 60), round((one.span_end - TEN) / HOUR * 60), one.label, 0)
        for one in spans.spans_in_force(connection)
    ]
    return [(one.start_us / 60, one.end_us / 60, one.label) for one in stretches(given)]


def bring(connection: Connection, *rows: SpanRow, by: str = "op") -> tuple[int, int, int]:
    count = spans.import_spans(connection, rows, recorded_by=by)
    connection.commit()
    return count.added, count.known, sum(count.passed_over.values())


@pytest.fixture
def empty(opened: Any) -> Callable[[], None]:
    """Forgets all spans; truncation is no DELETE."""

    def forget() -> None:
        execute(opened, "TRUNCATE spans RESTART IDENTITY")
        opened.commit()

    return forget


def test_a_later_span_has_the_moment_and_undo_restores(opened: Any) -> None:
    give(opened, 0, 3, "sitting")
    later = give(opened, 1, 2, "Nordic walking", "bob")
    opened.commit()
    assert moments(opened) == [(0, 1, "sitting"), (1, 2, "Nordic Walking"), (2, 3, "sitting")], (
        "as the model spells it"
    )
    assert spans.undo_spans(opened, [later], "boss") == 1
    opened.commit()
    assert moments(opened) == [(0, 3, "sitting")]
    with pytest.raises(AlreadyUndoneError):
        spans.undo_spans(opened, [later], "boss")
    assert fetch_all(opened, "SELECT annotator, recorded_by, label FROM spans ORDER BY span_id") == [
        ("anna", "anna", "sitting"), ("bob", "bob", "Nordic Walking"), ("bob", "boss", None)
    ]  # fmt: skip


@pytest.mark.parametrize("statement", ["UPDATE spans SET label = 'x'", "DELETE FROM spans"])
def test_rows_are_only_ever_added(opened: Any, statement: str) -> None:
    give(opened, 0, 1, "sitting")
    with pytest.raises(psycopg2.errors.RaiseException):
        execute(opened, statement)


@pytest.mark.parametrize(
    ("first", "last", "label"),
    [
        (1, 1, "a"),
        (1, 0, "a"),
        (0, 25, "a"),
        (24 * 365 * 50, 24 * 365 * 50 + 1, "a"),
        (0, 1, "<b>"),
        (0, 1, " "),
    ],
)
def test_what_is_no_span_is_refused(opened: Any, first: float, last: float, label: str) -> None:
    with pytest.raises(DataError):
        give(opened, first, last, label)
    with pytest.raises(DataError, match=r"^line 7, column "):
        bring(opened, row(first, last, label, place="line 7"))


def test_of_one_file_the_later_row_wins_and_it_may_come_again(opened: Any) -> None:
    diary = [row(0, 3, "sitting"), row(1, 2, "walking"), row(1.5, 1.75, "गिरना")]
    assert bring(opened, *diary) == (3, 0, 0)
    expected = [
        (0, 1, "sitting"),
        (1, 1.5, "walking"),
        (1.5, 1.75, "गिरना"),
        (1.75, 2, "walking"),
        (2, 3, "sitting"),
    ]
    assert moments(opened) == expected
    assert bring(opened, *diary) == (0, 3, 0)
    give(opened, 0, 3, "standing")
    opened.commit()
    assert bring(opened, *diary) == (0, 3, 0), "the same diary takes nothing back"
    assert moments(opened) == [(0, 3, "standing")]
    assert bring(opened, *diary, row(1, 2, "walking")) == (1, 3, 0), "a row that is there twice is two spans"
    assert spans.undo_last(opened, "op") == 1
    assert spans.undo_last(opened, "op", origin="import") == 3, "an import is one step"
    assert spans.undo_last(opened, "op") == 0
    opened.commit()
    assert moments(opened) == [(0, 3, "standing")]
    assert bring(opened, *diary) == (3, 0, 0), "without a time it is answered again"


def test_the_time_of_the_answer_decides(opened: Any) -> None:
    now = fetch_all(opened, "SELECT clock_timestamp()")[0][0]
    first, second = now - timedelta(days=2), now - timedelta(days=1)
    assert bring(opened, row(0, 2, "sitting", answered_at=second)) == (1, 0, 0)
    assert bring(opened, row(0, 3, "walking", answered_at=first)) == (1, 0, 0)
    assert moments(opened) == [(0, 2, "sitting"), (2, 3, "walking")]
    assert spans.undo_last(opened, "op") == 1
    opened.commit()
    assert bring(opened, row(0, 3, "walking", answered_at=first)) == (0, 0, 1), "an undo is a correction"
    with pytest.raises(DataError, match="answered_at"):
        bring(opened, row(0, 1, "x", answered_at=now + timedelta(days=1)))


def test_a_restored_store_exports_the_same_bytes(opened: Any, empty: Callable[[], None]) -> None:
    diary = [
        row(0, 3, "sitting", note='=cmd|"x";\ta\r\nb'),
        row(1, 2, "चलना"),
        row(1, 2, "शयन"),
        replace(row(1, 3, "walking"), device_id="-v", annotator="@zoe", note=""),
    ]
    bring(opened, *diary)
    give(opened, 0.5, 1.5, "standing", "=cmd")
    spans.undo_spans(opened, [give(opened, 0, 9, "lost")], "anna")
    opened.commit()
    whole, labels = spans_to_csv(spans.spans_in_force(opened)), moments(opened)
    given = spans_from_csv(whole, annotator="x")
    assert bring(opened, *given) == (0, 5, 0)
    assert spans_to_csv(spans.spans_in_force(opened)) == whole
    empty()
    assert bring(opened, *given) == (5, 0, 0)
    assert spans_to_csv(spans.spans_in_force(opened)) == whole
    assert moments(opened) == labels
