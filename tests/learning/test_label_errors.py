"""Labels that look wrong: errors put in are found, and labels without a column are left out."""

from __future__ import annotations

import numpy as np
import pytest

from activitymodule.errors import DataError
from activitymodule.learning.label_errors import suspicious_labels

LABELS = ("sitting", "standing", "walking")


def test_errors_put_in_are_found():
    dice = np.random.default_rng(0)
    truth = dice.integers(0, 3, 400)
    logits = dice.normal(0, 0.7, (400, 3))
    logits[np.arange(400), truth] += 3
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wrong = dice.choice(400, 20, replace=False)
    given_labels = truth.copy()
    given_labels[wrong] = (truth[wrong] + 1) % 3
    found = suspicious_labels(probabilities, np.array(LABELS)[given_labels], LABELS)
    rows = {one.row for one in found}
    assert len(rows & set(wrong.tolist())) >= 15
    assert len(rows - set(wrong.tolist())) <= 8
    assert [one.quality for one in found] == sorted(one.quality for one in found)
    assert all(one.suggested != one.label for one in found)
    assert len(suspicious_labels(probabilities, np.array(LABELS)[given_labels], LABELS, most=5)) == 5


def test_labels_the_model_does_not_know_are_left_out():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [np.nan, np.nan]])
    found = suspicious_labels(probabilities, np.array(["a", "b", "dancing", "a"]), ("a", "b"))
    assert all(one.row < 2 for one in found)
    assert suspicious_labels(np.empty((0, 2)), np.empty(0, str), ("a", "b")) == []
    with pytest.raises(DataError):
        suspicious_labels(probabilities, np.array(["a"]), ("a", "b"))
