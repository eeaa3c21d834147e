"""How far windows lie from the training: calibrated on held-out people, wider sets, small and safe files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from activitymodule.errors import ModelError
from activitymodule.models.bundle import BundleBytes, load_bundle
from activitymodule.models.calibration import UNFAMILIAR, conformal_sets, widened
from activitymodule.models.familiarity import (
    Familiarity,
    familiarity_of,
    standardised,
    write_familiarity,
)
from activitymodule.windows.features import FEATURE_NAMES


@pytest.fixture(scope="module")
def most(crowd):
    return crowd.take(np.flatnonzero(np.char.str_len(crowd.person) == 3))  # p10 to p39


@pytest.fixture(scope="module")
def familiarity(most):
    return familiarity_of(most.features, most.person, FEATURE_NAMES)[0]


@pytest.fixture(scope="module")
def others(crowd):
    return crowd.take(np.flatnonzero(np.char.str_len(crowd.person) == 2))


def test_a_twentieth_of_the_windows_of_new_people_is_unfamiliar(familiarity, others):
    found = familiarity(others.features)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found < UNFAMILIAR).mean() < 0.15
    assert 0.35 < found.mean() < 0.65


def test_the_held_out_windows_are_spread_evenly(most):
    _, held_out = familiarity_of(most.features, most.person, FEATURE_NAMES)
    assert abs((held_out < UNFAMILIAR).mean() - UNFAMILIAR) < 0.02
    assert abs(held_out.mean() - 0.5) < 0.02


def test_what_the_training_has_not_seen_is_unfamiliar(familiarity, others):
    moved = others.features.copy()
    moved[:, ::2] += 3
    assert (familiarity(moved) < UNFAMILIAR).mean() > 0.9


def test_one_broken_feature_does_not_make_a_window_unfamiliar(familiarity, others):
    broken = others.features.copy()
    broken[:, 0] = 1e9
    assert np.abs(familiarity(broken) - familiarity(others.features)).mean() < 0.1


def test_missing_features_count_as_the_mean_and_a_window_without_any_is_not_known(familiarity, others):
    some = others.features[:3].copy()
    some[1, 5:20] = np.nan
    some[2] = np.nan
    found = familiarity(some)
    assert np.isfinite(found[:2]).all()
    assert np.isnan(found[2])
    assert standardised(some, familiarity.centre, familiarity.scale)[1, 5:20].tolist() == [0] * 15


def test_a_prototype_is_no_window_of_a_person(familiarity, most):
    z = standardised(most.features, familiarity.centre, familiarity.scale)
    nearest = np.square(z[:, None] - familiarity.prototypes[None]).sum(2).min(0)
    assert nearest.min() > 1


def test_it_survives_its_file(familiarity, others):
    content = familiarity.to_bytes()
    assert len(content) < 500_000
    again = Familiarity.from_bytes(content)
    assert again.feature_names == FEATURE_NAMES
    np.testing.assert_array_equal(again(others.features), familiarity(others.features))


@pytest.mark.parametrize(
    "damage",
    [
        {"scale": np.zeros(len(FEATURE_NAMES), np.float32)},
        {"prototypes": np.ones((3, 4), np.float32)},
        {"distances": np.array([3, 2, 1], np.float32)},
        {"centre": np.full(len(FEATURE_NAMES), np.nan, np.float32)},
    ],
)
def test_a_damaged_file_is_refused(familiarity, damage):
    with pytest.raises(ModelError):
        Familiarity.from_bytes(replace(familiarity, **damage).to_bytes())
    with pytest.raises(ModelError):
        Familiarity.from_bytes(b"no archive")


def test_sets_widen_as_familiarity_falls():
    quantiles = widened(0.5, 0.99, np.array([1, 0.5, 0.3, 0.1, 0.05, 0, np.nan], np.float32))
    assert quantiles[:2] == pytest.approx(0.5)
    assert (np.diff(quantiles[1:5]) > 0).all()
    assert quantiles[4:6] == pytest.approx(0.99)
    assert quantiles[6] == pytest.approx(0.5)  # a version that cannot tell
    probabilities = np.tile([0.6, 0.3, 0.08, 0.02], (2, 1))
    assert conformal_sets(probabilities, quantiles[[0, 4]]).sum(1).tolist() == [1, 4]


def test_a_version_serves_with_it_and_without_it(trained, toy, write, tmp_path):
    write(tmp_path, trained)
    before = load_bundle(BundleBytes.read(tmp_path, version="1")).score(toy.features)
    assert np.isnan(before.familiarity).all()
    assert np.array_equal(
        before.in_set, conformal_sets(before.probabilities, trained.card.conformal_quantile)
    )
    write_familiarity(tmp_path, trained.familiarity)
    far = toy.features + np.float32(5)
    scores = load_bundle(BundleBytes.read(tmp_path, version="1")).score(np.concatenate([toy.features, far]))
    assert (scores.familiarity[: len(toy)] >= UNFAMILIAR).mean() > 0.9
    assert (scores.familiarity[len(toy) :] < UNFAMILIAR).all()
    wide = conformal_sets(scores.probabilities[len(toy) :], trained.card.conformal_quantile_wide)
    assert np.array_equal(scores.in_set[len(toy) :], wide)
    # what it learnt with other features says nothing of these
    write_familiarity(tmp_path, replace(trained.familiarity, feature_names=FEATURE_NAMES))
    other = load_bundle(BundleBytes.read(tmp_path, version="1")).score(toy.features)
    assert np.isnan(other.familiarity).all()
