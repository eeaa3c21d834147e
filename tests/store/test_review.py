"""Votes and adjudication on a real PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from queued import MINUTES, fill, label, rows, state

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
