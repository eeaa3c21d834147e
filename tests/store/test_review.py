"""Votes and adjudication on a real PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from queued import MINUTES, fill, label, rows, state

from activitymodule.errors import AlreadyDecidedError
from activitymodule.store import leases, review

pytestmark = pytest.mark.integration


def test_two_required_labels_are_given_blind_and_adjudicated(opened: Any) -> None:
    (number,) = fill(opened, 1, required_labels=2)
    assert leases.lease_next(opened, "a", MINUTES) is not None
    assert leases.lease_next(opened, "b", MINUTES) is not None
    assert leases.lease_next(opened, "c", MINUTES) is None
    label(opened, number, "a", "walking")
    assert state(opened, number) is None
    assert leases.lease_next(opened, "a", MINUTES) is None, "an answered item is never leased again"
    assert leases.lease_next(opened, "c", MINUTES) is None, "b already holds the second vote"
    label(opened, number, "b", "sitting")
    assert state(opened, number) == "answered"
    assert [case.why for case in review.cases(opened)] == ["disputed"]
    review.adjudicate(opened, number, "reviewer", "sitting", minutes=MINUTES)
    assert review.cases(opened) == []
    assert rows(opened, "SELECT label, adjudicated, disputed FROM gold_labels") == [("sitting", True, False)]
    assert review.undo_adjudication(opened, "reviewer", MINUTES) == number
    assert [case.item_id for case in review.cases(opened)] == [number]


def test_two_reviewers_at_once_see_each_other(opened: Any) -> None:
    (number,) = fill(opened, 1, required_labels=2)
    label(opened, number, "a", "walking")
    label(opened, number, "b", "sitting")
    # both have the window on their screens, and neither has seen a decision
    assert review.decision(opened, number) is None
    first = review.adjudicate(opened, number, "anna", "sitting", seen=None, minutes=MINUTES)
    opened.commit()
    for late in ("walking", None):
        with pytest.raises(AlreadyDecidedError, match="anna has decided sitting"):
            review.adjudicate(opened, number, "bea", late, seen=None, minutes=MINUTES)
        opened.rollback()
    assert rows(opened, "SELECT label FROM gold_labels") == [("sitting",)]
    # she sees it now, and differs on purpose
    seen = review.decision(opened, number)
    assert seen is not None
    assert (seen.number, seen.reviewer, seen.label) == (first, "anna", "sitting")
    review.adjudicate(opened, number, "bea", None, seen=seen.number, minutes=MINUTES)
    again = review.decision(opened, number)
    assert again is not None
    assert (again.reviewer, again.label) == ("bea", None)
    with pytest.raises(AlreadyDecidedError, match="bea has decided that it cannot be determined"):
        review.adjudicate(opened, number, "anna", "sitting", seen=first, minutes=MINUTES)
