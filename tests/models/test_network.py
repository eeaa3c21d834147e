"""The family with a network: the mean of its parts, stored and loaded like the others."""

from __future__ import annotations

import numpy as np
import pytest

from activitymodule.models import export
from activitymodule.models.activity import softmax
from activitymodule.models.boosting import booster_of
from activitymodule.models.contract import classifier_pipeline
from activitymodule.models.network import TreesLinearAndNetwork


def small(labels: int) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(0)
    y = np.arange(300) % labels
    X = dice.normal(size=(300, 12)).astype(np.float32)
    X[:, :4] += 1.5 * dice.normal(size=(labels, 4))[y]
    return X, y


@pytest.mark.parametrize("labels", [2, 3])
def test_it_is_the_mean_of_its_three_parts(labels: int) -> None:
    X, y = small(labels)
    model = TreesLinearAndNetwork(rounds=20, power=1.0, tree_share=0.5).fit(X, y)
    z = np.clip((X - model.centre_) / model.scale_, -3, 3)
    trees = np.asarray(booster_of(model.trees_).predict(X))
    linear = softmax(z @ model.coefficients_.T + model.intercepts_)
    hidden = np.maximum(z @ model.hidden_weights_ + model.hidden_bias_, 0)
    network = softmax(hidden @ model.output_weights_ + model.output_bias_)
    assert (network.argmax(1) == y).mean() > 0.6
    expected = 0.5 * trees + 0.25 * linear + 0.25 * network
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-6)


def test_it_is_stored_repeatable_and_checked() -> None:
    X, y = small(3)
    pipelines = [classifier_pipeline(TreesLinearAndNetwork(rounds=5, seed=2)).fit(X, y) for _ in range(2)]
    first, second = (pipeline.predict_proba(X) for pipeline in pipelines)
    assert np.array_equal(first, second)
    loaded = export.load(export.dump(pipelines[0]), "a model")
    assert np.array_equal(loaded.predict_proba(X), first)
    export.check(loaded)
    loaded["model"].output_bias_ = np.zeros(2)
    with pytest.raises(ValueError, match="output_bias_"):
        export.check(loaded)
