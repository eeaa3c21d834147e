"""Forests as arrays answer as sklearn's, and broken ones are refused before they are walked."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import Pipeline

from activitymodule.behaviour.forest import ForestClassifier, ForestRegressor
from activitymodule.models import export
from activitymodule.models.kinds import DAY_TYPES

DICE = np.random.default_rng(5)
X = DICE.normal(size=(400, 4)).round(2)
Y = 2 * X[:, 0] + np.abs(X[:, 1]) + DICE.normal(0, 0.3, 400)
CODES = np.digitize(Y, [0, 2])
SAME = {"max_features": 0.4, "random_state": 3}


def test_a_regressor_answers_as_sklearn() -> None:
    ours = ForestRegressor(trees=6, depth=7, seed=3).fit(X, Y)
    theirs = RandomForestRegressor(6, max_depth=7, **SAME).fit(X, Y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-5)
    assert ours.nodes == sum(tree.tree_.node_count for tree in theirs.estimators_)


def test_a_classifier_answers_as_sklearn_after_a_round_trip_through_its_file() -> None:
    ours = ForestClassifier(trees=5, least_rows_a_leaf=3, seed=3).fit(X, CODES)
    theirs = RandomForestClassifier(5, min_samples_leaf=3, **SAME).fit(X, CODES)
    again = export.load(export.dump(Pipeline([("model", ours)])), "a forest")
    export.check(again)
    np.testing.assert_allclose(again.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(again.predict(X), theirs.predict(X))


def _set(name: str, place: int, value: float):  # type: ignore[no-untyped-def]
    def damage(forest: ForestRegressor) -> None:
        values = getattr(forest, name).copy()
        values[place] = value
        setattr(forest, name, values)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        _set("feature_", 0, 99),
        _set("feature_", 0, -2),
        _set("right_", 0, 0),
        _set("right_", 0, 10**6),
        _set("split_", 0, np.nan),
        _set("starts_", -1, 10**6),
        _set("right_", -1, -1),
        lambda forest: setattr(forest, "right_", forest.right_[:-1]),
        lambda forest: setattr(forest, "outputs_", forest.outputs_[:1]),
        lambda forest: setattr(forest, "right_", forest.right_.astype(float)),
    ],
)
def test_a_damaged_forest_is_refused(damage) -> None:  # type: ignore[no-untyped-def]
    forest = ForestRegressor(trees=3, depth=4).fit(X, Y)
    forest.check()
    damage(forest)
    with pytest.raises(ValueError, match=r"."):
        forest.check()


def test_types_of_models_on_days_are_those_that_exist() -> None:
    for name in DAY_TYPES:
        module, _, own = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[own]), own)
