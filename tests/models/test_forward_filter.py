"""The forward filter: a law-abiding belief, equal to the sum over all paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.models.smoothing import forward_filter, smooth_runs


def probabilities(n, windows, labels, seed):
    return np.random.default_rng(seed).dirichlet(np.ones(labels), (n, windows))


cases = st.tuples(st.integers(1, 6), st.integers(2, 7), st.floats(0.05, 0.95), st.integers(0, 10_000))


@given(cases)
@hypothesis_settings(max_examples=50, deadline=None)
def test_it_is_a_belief(case):
    windows, labels, stay, seed = case
    belief = forward_filter(probabilities(4, windows, labels, seed), stay)
    assert np.allclose(belief.sum(1), 1)
    assert (belief > 0).all()


@given(cases)
@hypothesis_settings(max_examples=50, deadline=None)
def test_names_of_labels_do_not_matter(case):
    windows, labels, stay, seed = case
    p = probabilities(3, windows, labels, seed)
    order = np.random.default_rng(seed).permutation(labels)
    assert np.allclose(forward_filter(p, stay)[:, order], forward_filter(p[:, :, order], stay))


def test_it_is_the_sum_over_all_paths():
    p, stay = probabilities(1, 4, 3, 5)[0], 0.8
    total = np.zeros(3)
    for path in itertools.product(range(3), repeat=4):
        weight = 1 / 3 * p[0, path[0]]
        for k in range(1, 4):
            weight *= (stay if path[k] == path[k - 1] else (1 - stay) / 2) * p[k, path[k]]
        total[path[-1]] += weight
    assert np.allclose(forward_filter(p[None], stay)[0], total / total.sum())


def test_one_window_alone_is_itself():
    p = probabilities(5, 1, 4, 0)
    assert np.allclose(forward_filter(p, 0.8), p[:, 0])


def test_windows_that_are_missing_at_the_start_change_nothing():
    p = probabilities(3, 4, 4, 2)
    longer = np.concatenate([np.full((3, 2, 4), np.nan), p], 1)
    assert np.allclose(forward_filter(p, 0.8), forward_filter(longer, 0.8))


def test_a_missing_window_between_spreads_the_belief():
    p = np.array([[[0.9, 0.05, 0.05], [0.3, 0.4, 0.3]]])
    gap = np.insert(p, 1, np.nan, axis=1)
    assert forward_filter(gap, 0.8)[0, 0] < forward_filter(p, 0.8)[0, 0]


def test_a_label_ruled_out_can_come_back():
    p = np.array([[[1.0, 0.0]] * 5 + [[0.0, 1.0]]])
    assert forward_filter(p, 0.8)[0].argmax() == 1


def test_a_single_doubtful_window_is_overruled():
    p = np.array([[[0.9, 0.1]] * 5 + [[0.45, 0.55]]])
    assert forward_filter(p, 0.8)[0].argmax() == 0


def test_runs_do_not_mix():
    p = probabilities(1, 9, 3, 7)[0]
    run = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    smoothed = smooth_runs(p, run, 0.8, 3)
    assert np.allclose(smoothed[4], p[4])
    assert np.allclose(smoothed[3], forward_filter(p[None, 1:4], 0.8)[0])
    assert smoothed[8] == pytest.approx(forward_filter(p[None, 6:9], 0.8)[0])
