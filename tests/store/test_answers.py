"""Answers and undo on a real PostgreSQL."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from queued import MINUTES, fill, label, rows, state

from activitymodule.errors import AlreadyAnsweredError, AuditItemError
from activitymodule.store import answers, leases, review

pytestmark = pytest.mark.integration


def test_three_declines_withdraw_an_item_and_undo_opens_it(opened: Any) -> None:
    (number,) = fill(opened, 1)
    for who, kind in (("a", "skip"), ("b", "unsure"), ("c", "flag")):
        assert state(opened, number) is None
        item = leases.lease_next(opened, who, MINUTES)
        assert item is not None
        answers.answer(opened, number, who, kind, minutes=MINUTES)  # type: ignore[arg-type]
        assert leases.lease_next(opened, who, MINUTES) is None
    assert state(opened, number) == "withdrawn"
    assert [case.why for case in review.cases(opened)] == ["flagged"]
    undone = answers.undo(opened, "c", MINUTES)
    assert undone is not None
    assert undone.held == (number,)
    assert state(opened, number) is None
    assert review.cases(opened) == []
    label(opened, number, "c")
    assert state(opened, number) == "answered"


def test_undo_goes_back_ten_steps_and_no_further(opened: Any) -> None:
    numbers = fill(opened, 12)
    for number in numbers:
        label(opened, number, "a")
    for number in reversed(numbers[2:]):
        undone = answers.undo(opened, "a", MINUTES)
        assert undone is not None
        assert undone.items == (number,)
    assert answers.undo(opened, "a", MINUTES) is None
    assert answers.undo(opened, "b", MINUTES) is None
    assert [row[0] for row in rows(opened, "SELECT item_id FROM annotations_in_force ORDER BY 1")] == numbers[
        :2
    ]


def test_a_bulk_answer_is_one_step_of_undo(opened: Any) -> None:
    numbers = fill(opened, 6)
    label(opened, numbers[0], "b")
    leases.lease_these(opened, numbers, "a", MINUTES)
    taken = answers.answer_many(opened, numbers, "a", "walking", minutes=MINUTES)
    assert taken == numbers[1:]
    undone = answers.undo(opened, "a", MINUTES)
    assert undone is not None
    assert undone.items == tuple(numbers[1:])
    assert all(state(opened, number) is None for number in numbers[1:])
    assert state(opened, numbers[0]) == "answered"


def test_audit_windows_are_labelled_alone_and_blind(opened: Any) -> None:
    numbers = fill(opened, 3)
    audit = numbers[1]
    rows(opened, "UPDATE queue_items SET stratum = 'audit' WHERE item_id = %s", (audit,))
    leases.lease_these(opened, numbers, "a", MINUTES)
    opened.commit()
    with pytest.raises(AuditItemError):
        answers.answer_many(opened, numbers, "a", "walking", minutes=MINUTES)
    opened.rollback()
    assert rows(opened, "SELECT count(*) FROM annotations") == [(0,)], "not the others either"
    # whatever the client claims
    label(opened, audit, "a", model_hidden=False)
    label(opened, numbers[0], "a", model_hidden=False)
    assert rows(opened, "SELECT model_hidden FROM annotations ORDER BY annotation_id") == [(True,), (False,)]


def test_annotations_are_append_only(opened: Any) -> None:
    (number,) = fill(opened, 1)
    label(opened, number, "a")
    opened.commit()
    for change in ("UPDATE annotations SET label = 'sitting'", "DELETE FROM annotations"):
        with pytest.raises(psycopg2.errors.RaiseException):
            rows(opened, change)
        opened.rollback()
    with pytest.raises(AlreadyAnsweredError):
        label(opened, number, "a", "sitting")
