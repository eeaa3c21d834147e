"""The regressor: what it learns, and that it answers whatever is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from activitymodule.models import export
from activitymodule.models.energy import (
    COLUMNS,
    PersonColumns,
    energy_matrix,
    heart_rate_reserve,
    with_gaps,
)
from activitymodule.models.training import train_energy
from activitymodule.windows.features import FEATURE_NAMES


def matrix(toy, people="own", code=0.0):
    n = len(toy)
    known = toy.people if people == "own" else people
    return energy_matrix(toy.features, FEATURE_NAMES, known, np.full(n, code))


def test_it_learns_what_can_be_learned(trained_energy):
    assert trained_energy.report.r2 > 0.9
    assert trained_energy.report.people == 8


def test_the_matrix_has_what_its_columns_say(toy):
    X = matrix(toy)
    assert X.shape == (len(toy), len(COLUMNS))
    assert np.array_equal(
        X[:, COLUMNS.index("heart_mean")], toy.features[:, FEATURE_NAMES.index("heart_mean")]
    )
    assert np.array_equal(X[:, COLUMNS.index("weight_kg")], toy.people.weight_kg)
    assert set(X[:, COLUMNS.index("sex")]) == {0.0, 1.0}
    nobody = matrix(toy, people=None)
    assert np.isnan(nobody[:, COLUMNS.index("weight_kg")]).all()
    assert np.array_equal(nobody, matrix(toy, PersonColumns.unknown(len(toy))), equal_nan=True)


def test_share_of_the_heart_rate_reserve():
    # 40 years: highest 180 bpm, so that 120 is half of the way from 60
    assert heart_rate_reserve(np.array([120.0]), np.array([60.0]), np.array([40.0])) == pytest.approx(0.5)


@pytest.mark.parametrize("missing", ["person", "heart", "activity", "everything"])
def test_it_answers_whatever_is_missing(toy, trained_energy, missing):
    X = matrix(toy, None if missing in ("person", "everything") else "own")
    if missing in ("heart", "everything"):
        X[:, [COLUMNS.index("heart_mean"), COLUMNS.index("heart_rate_reserve")]] = np.nan
    if missing in ("activity", "everything"):
        X[:, COLUMNS.index("activity")] = np.nan
    if missing == "everything":
        X[:] = np.nan
    kcal = trained_energy.pipeline.predict(X)
    assert kcal.shape == (len(toy),)
    assert np.isfinite(kcal).all()
    assert 0.5 < kcal.mean() < 6


def test_an_activity_beyond_the_label_set_is_an_unknown_one(toy, trained_energy):
    model = trained_energy.pipeline
    assert np.array_equal(model.predict(matrix(toy, code=99.0)), model.predict(matrix(toy, code=np.nan)))


def test_energy_is_never_negative(toy, config):
    low = replace(toy, kcal_per_min=np.where(toy.activity == "rowing", 0.01, 0.0).astype(np.float32))
    trained = train_energy(low, None, (), config, folds=2)
    assert (trained.pipeline.predict(matrix(low, code=np.nan)) >= 0).all()


def test_copies_with_gaps_leave_the_originals_alone():
    X = np.random.default_rng(0).normal(size=(200, len(COLUMNS)))
    y = np.arange(200.0)
    gapped, truth, weight = with_gaps(X, y, seed=1)
    assert np.array_equal(gapped[:200], X)
    assert np.array_equal(truth[:200], y)
    copies = gapped[200:]
    assert 60 < len(copies) < 140
    assert np.isnan(copies).any(1).mean() > 0.8
    assert (weight[200:] == 0.5).all()
    assert np.array_equal(gapped, with_gaps(X, y, seed=1)[0], equal_nan=True)


def test_saved_and_loaded_it_says_the_same(toy, trained_energy):
    again = export.load(export.dump(trained_energy.pipeline), "the model")
    X = matrix(toy)
    assert np.array_equal(again.predict(X), trained_energy.pipeline.predict(X))
