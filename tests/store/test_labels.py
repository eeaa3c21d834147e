"""Spelling of labels, and gold labels, on a real PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from queued import fill, label

from activitymodule.errors import DataError
from activitymodule.store import labels

pytestmark = pytest.mark.integration


def test_labels_keep_a_known_spelling(opened: Any) -> None:
    assert labels.clean_label(opened, " nordic  WALKING ") == "Nordic Walking"
    assert labels.clean_label(opened, "Riding a Bicycle") == "riding a bicycle"
    assert labels.clean_label(opened, "cafe\u0301 İstanbul") == "café i\u0307stanbul", "by no locale's rules"
    for bad in ("", "   ", "=1+1", "<b>", "x" * 61, "a\0b"):
        with pytest.raises(DataError):
            labels.clean_label(opened, bad)


def test_pairs_of_labels_are_of_windows_with_two_votes(opened: Any) -> None:
    first, second = fill(opened, 2, required_labels=2)
    label(opened, first, "a", "walking")
    label(opened, first, "b", "sitting")
    label(opened, second, "a", "walking")
    assert sorted((annotator, label) for annotator, _, label in labels.pairs_of_labels(opened)) == [
        ("a", "walking"),
        ("b", "sitting"),
    ]
