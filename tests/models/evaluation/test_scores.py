"""Confusion, accuracy, precision, recall and F1: equal to scikit-learn's, whatever the labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from activitymodule.models.evaluation.scores import (
    accuracy,
    confusion,
    f1_scores,
    label_scores,
    macro_f1,
    mean_f1,
    truth_by_predicted,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    table = truth_by_predicted(truth, predicted)
    labels = list(table.labels)
    assert np.array_equal(table.counts, confusion_matrix(truth, predicted, labels=labels))
    assert accuracy(table.counts) == pytest.approx(np.mean(truth == predicted))
    there = sorted(set(truth.tolist()))
    macro = f1_score(truth, predicted, labels=there, average="macro", zero_division=0)
    assert macro_f1(table.counts) == pytest.approx(macro)
    each = label_scores(table.counts, labels)
    options = {"labels": labels, "average": None, "zero_division": 0}
    assert [one.f1 for one in each.values()] == pytest.approx(f1_score(truth, predicted, **options))
    assert [one.recall for one in each.values()] == pytest.approx(recall_score(truth, predicted, **options))
    assert [one.precision for one in each.values()] == pytest.approx(
        precision_score(truth, predicted, **options)
    )


def test_macro_f1_leaves_out_labels_that_are_not_in_the_truth() -> None:
    counts = confusion(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), 3)
    assert macro_f1(counts) == 1.0
    assert np.isnan(f1_scores(counts)[2])
    assert label_scores(counts, ("a", "b", "c"))["c"].f1 == 0


def test_a_label_can_be_left_out_of_the_mean() -> None:
    hits, both = np.array([2.0, 0.0]), np.array([2.0, 2.0])
    assert mean_f1(hits, both, both) == 0.5
    assert mean_f1(hits, both, both, np.array([True, False])) == 1.0


def test_scores_go_along_leading_axes() -> None:
    counts = np.stack([np.eye(3, dtype=int), np.roll(np.eye(3, dtype=int), 1, axis=1)])
    assert macro_f1(counts).tolist() == [1, 0]
    assert accuracy(counts).tolist() == [1, 0]
