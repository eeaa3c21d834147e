"""Kappa against a worked example, and planted label errors that are found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from activitymodule.learning.agreement import (
    agreement_by_group,
    agreements,
    cohens_kappa,
    overall_agreement,
    pair_agreement,
)
from activitymodule.models.evaluation.slices import Slicing

LABELS = ("sitting", "standing", "walking")


def test_kappa_of_a_worked_example():
    # Cohen's kappa of [[20, 5], [10, 15]] is .4: (.7 - .5) / (1 - .5)
    assert cohens_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=2, max_size=60))
def test_kappa_is_that_of_sklearn(pairs):
    first, second = zip(*pairs, strict=True)
    found = pair_agreement("a", "b", pairs)
    if len(set(first) | set(second)) == 1:
        assert found.kappa is None
        assert found.agree == 1
    else:
        assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
        assert found.low <= found.high
    assert found.windows == len(pairs)


def test_every_pair_that_has_a_window_in_common():
    said = [
        ("ann", 1, "sitting"), ("bob", 1, "sitting"), ("ann", 2, "walking"), ("bob", 2, "standing"),
        ("cat", 2, "walking"), ("dan", 9, "walking"), ("ann", 2, "standing"),
    ]  # fmt: skip
    found = {(one.first, one.second): one for one in agreements(*zip(*said, strict=True))}
    assert set(found) == {("ann", "bob"), ("ann", "cat"), ("bob", "cat")}
    assert found["ann", "bob"].windows == 2
    assert found["ann", "bob"].agree == 1  # Ann's last word on window 2 counts
    assert found["ann", "cat"].agree == 0


def test_overall_agreement_weighs_pairs_by_their_windows():
    first, second = ("sitting", "walking", "sitting", "walking"), ("sitting", "walking", "walking", "walking")
    said = [
        row
        for window, (a, b) in enumerate(zip(first, second, strict=True))
        for row in (("ann", window, a), ("bob", window, b))
    ]
    said += [("cat", 10, "sitting"), ("dan", 10, "walking"), ("cat", 11, "walking"), ("dan", 11, "sitting")]
    found = overall_agreement(*zip(*said, strict=True))
    assert found.windows == 6
    assert found.agree == pytest.approx(3 / 6)
    assert found.kappa == pytest.approx((4 * cohen_kappa_score(first, second) + 2 * -1) / 6)


def test_overall_agreement_of_nothing_is_undefined():
    assert overall_agreement((), (), ()).kappa is None
    alone = overall_agreement(("ann", "bob"), (1, 2), ("sitting", "sitting"))
    assert (alone.windows, alone.agree, alone.kappa) == (0, None, None)
    # both always say the same one label: they agree, and chance alone would make them
    alike = overall_agreement(("ann", "bob"), (1, 1), ("sitting", "sitting"))
    assert (alike.windows, alike.agree, alike.kappa) == (1, 1, None)


def test_the_agreement_on_a_device_model_is_that_of_its_windows():
    names = ["e4", "e4", "e4", "e4", "", ""]
    found = agreement_by_group(
        ["a", "b", "a", "b", "a", "b"],
        [1, 1, 2, 2, 3, 3],
        ["walk", "walk", "sit", "walk", "sit", "sit"],
        [Slicing("device model", np.array(names))],
    )
    assert [(kind, name, one.windows, one.agree) for kind, name, one in found] == [
        ("device model", "e4", 2, 0.5),
        ("device model", "unknown", 1, 1.0),
    ]
