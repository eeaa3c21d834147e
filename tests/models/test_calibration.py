"""Calibration error, and the promise of conformal sets to people who were not there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.models.calibration import (
    conformal_quantile,
    conformal_sets,
    expected_calibration_error,
    reliability,
)


def drawn(people, each, labels, seed, harder=0.8):
    """Probabilities, truths drawn from them, and people; some people are harder than others."""
    dice = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    sharpness = np.exp(dice.normal(0, harder, people))[person]
    p = dice.dirichlet(np.full(labels, 0.5), people * each) ** sharpness[:, None]
    p /= p.sum(1, keepdims=True)
    truth = (dice.random((len(p), 1)) > p.cumsum(1)).sum(1).clip(max=labels - 1)
    return p, truth, person


def test_truths_drawn_from_the_probabilities_are_calibrated():
    p, truth, _ = drawn(50, 400, 4, 0)
    assert expected_calibration_error(p, truth) < 0.02
    overconfident = p**2 / (p**2).sum(1, keepdims=True)
    assert expected_calibration_error(overconfident, truth) > 0.04


def test_a_known_calibration_error():
    p = np.tile([0.7, 0.3], (10, 1))
    truth = np.array([0] * 9 + [1])  # right 90 % of the time at a confidence of 70 %
    assert expected_calibration_error(p, truth) == pytest.approx(0.2)
    assert np.nansum(reliability(p, truth).share) == pytest.approx(1)


def test_new_people_are_covered_as_promised():
    covered = []
    for seed in range(30):
        p, truth, person = drawn(60, 30, 5, seed)
        old, new = person < 40, person >= 40
        quantile = conformal_quantile(p[old], truth[old], person[old], 0.1)
        sets = conformal_sets(p[new], quantile)
        covered.append(sets[np.arange(new.sum()), truth[new]].mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)


def test_every_person_weighs_the_same():
    # one person with many easy windows must not outvote nine with few hard ones
    p = np.array([[0.99, 0.01]] * 1000 + [[0.6, 0.4]] * 9)
    person = np.array([0] * 1000 + list(range(1, 10)))
    quantile = conformal_quantile(p, np.zeros(len(p), int), person, 0.1)
    assert quantile == pytest.approx(0.4)


@given(st.integers(0, 10_000), st.floats(0.02, 0.3), st.floats(0.31, 0.6))
@hypothesis_settings(max_examples=30, deadline=None)
def test_a_smaller_alpha_gives_larger_sets(seed, strict, lax):
    p, truth, person = drawn(10, 20, 4, seed)
    small, large = (conformal_quantile(p, truth, person, alpha) for alpha in (lax, strict))
    assert small <= large
    assert (conformal_sets(p, small) <= conformal_sets(p, large)).all()
    assert conformal_sets(p, 1.0).all()


def test_float32_probabilities_make_the_same_sets():
    p, truth, person = drawn(20, 50, 6, 1)
    quantile = conformal_quantile(p, truth, person, 0.1)
    exact = conformal_sets(p, quantile)
    rounded = conformal_sets(p.astype(np.float32), quantile)
    assert (exact == rounded).mean() > 0.9999
    # the window that set the quantile is in its own set, rounded or not
    assert rounded[np.arange(len(p)), truth].mean() >= 0.9 - 0.02
