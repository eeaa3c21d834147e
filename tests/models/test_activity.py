"""The classifier: what it learns, that it is one Pipeline, and that the same data makes the same model."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from activitymodule.errors import NotEnoughDataError
from activitymodule.models import export
from activitymodule.models.activity import TreesAndLinear, activity_pipeline, feature_names
from activitymodule.models.training import train_activity
from activitymodule.windows.catalogue import MOTION_FAMILIES


def small(n=300, k=12, labels=3, seed=0):
    dice = np.random.default_rng(seed)
    y = np.arange(n) % labels
    X = dice.normal(size=(n, k)).astype(np.float32)
    X[:, :4] += 1.5 * dice.normal(size=(labels, 4))[y]
    return X, y


def test_it_learns_what_can_be_learned(trained):
    assert trained.report.macro_f1 > 0.85
    assert trained.report.labels == ("climbing", "resting", "rowing")
    assert trained.report.people == 8


def test_the_default_features_are_the_303_of_the_acceleration():
    names = feature_names()
    assert len(names) == len(set(names)) == 303
    assert not any(name.startswith(("heart", "steps", "rotation", "speed")) for name in names)
    assert "heart_mean" in feature_names((*MOTION_FAMILIES, "heart"))


def test_probabilities_are_probabilities_and_sharpened():
    X, y = small()
    plain = activity_pipeline(power=1.0).fit(X, y).predict_proba(X)
    sharp = activity_pipeline().fit(X, y).predict_proba(X)
    assert np.allclose(sharp.sum(1), 1)
    assert (sharp > 0).all()
    wanted = plain**1.18
    assert np.allclose(sharp, wanted / wanted.sum(1, keepdims=True))


@pytest.mark.parametrize("labels", [2, 3, 6])
def test_it_is_the_mean_of_lightgbm_and_a_logistic_regression(labels):

    X, y = small(labels=labels)
    scale = StandardScaler().fit(X.astype(float))

    def scores(values):
        return np.clip(scale.transform(values), -3, 3)

    linear = LogisticRegression(C=0.03, max_iter=1000).fit(scores(X), y).predict_proba(scores(X))
    ours = TreesAndLinear(power=1.0).fit(X, y)
    trees = lgb.Booster(model_str=ours.trees_).predict(X)
    assert np.allclose(ours.predict_proba(X), (trees + linear) / 2, atol=1e-6)


def test_the_same_data_and_seed_make_the_same_model():
    X, y = small()
    first, again = (activity_pipeline(seed=3).fit(X, y) for _ in range(2))
    other = activity_pipeline(seed=4).fit(X, y)
    assert np.array_equal(first.predict_proba(X), again.predict_proba(X))
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))


def test_a_window_scores_the_same_in_any_company():
    X, y = small()
    model = activity_pipeline().fit(X, y)
    together = model.predict_proba(X).astype(np.float32)
    alone = np.concatenate([model.predict_proba(X[k : k + 1]) for k in range(40)]).astype(np.float32)
    assert np.allclose(together[:40], alone, rtol=1e-6, atol=1e-9)


def test_what_is_missing_is_the_median(trained):
    X, y = small()
    model = activity_pipeline().fit(X, y)
    gone = X[:5].copy()
    gone[:, 7] = np.nan
    filled = X[:5].copy()
    filled[:, 7] = np.median(X[:, 7])
    assert np.allclose(model.predict_proba(gone), model.predict_proba(filled), atol=1e-6)


def test_a_feature_that_was_never_there_does_no_harm():
    X, y = small()
    X[:, 3] = np.nan
    model = activity_pipeline().fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()


def test_it_is_an_sklearn_estimator():
    X, y = small()
    model = TreesAndLinear(rounds=20, leaves=5)
    assert clone(model).get_params() == model.get_params()
    names = np.array(["a", "b", "c"])
    assert set(model.fit(X, names[y]).predict(X)) <= set(names)
    assert model.score(X, names[y]) > 0.8
    assert model.predict_proba(X[:0]).shape == (0, 3)


def test_saved_and_loaded_it_says_the_same():
    X, y = small()
    model = activity_pipeline().fit(X, y)
    model.predict_proba(X)  # a booster that was used must not be stored
    again = export.load(export.dump(model), "the model")
    assert np.array_equal(model.predict_proba(X), again.predict_proba(X))


def test_one_activity_is_not_enough(toy, config):
    with pytest.raises(NotEnoughDataError):
        train_activity(toy.take(toy.activity == "rowing"), config)


def test_one_person_is_not_enough(toy, config):
    with pytest.raises(NotEnoughDataError):
        train_activity(toy.take(toy.person == "p1"), config)
