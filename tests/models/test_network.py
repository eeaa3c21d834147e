"""The family with a network: the mean of its parts, stored and loaded like the others."""

from __future__ import annotations

import numpy as np
import pytest

from activitymodule.models import export
from activitymodule.models.activity import softmax
from activitymodule.models.boosting import booster_of
from activitymodule.models.contract import classifier_pipeline
from activitymodule.models.families import classifier_of
from activitymodule.models.network import TreesLinearAndNetwork
from activitymodule.windows.exchange import exchanged

EXCHANGE = [1, 0, 2, 12, *range(4, 12), 0, 2]
"""x and y are the columns 0 and 1; the column 3 becomes the hypot of the columns 0 and 2."""


def small(labels: int) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(0)
    y = np.arange(300) % labels
    X = dice.normal(size=(300, 12)).astype(np.float32)
    X[:, :4] += 1.5 * dice.normal(size=(labels, 4))[y]
    return X, y


@pytest.mark.parametrize("labels", [2, 3])
def test_it_is_the_mean_of_its_three_parts(labels: int) -> None:
    X, y = small(labels)
    model = TreesLinearAndNetwork(rounds=20, power=1.0, tree_share=0.5, linear_share=0.3).fit(X, y)
    z = np.clip((X - model.centre_) / model.scale_, -3, 3)
    trees = np.asarray(booster_of(model.trees_).predict(X))
    linear = softmax(z @ model.coefficients_.T + model.intercepts_)
    hidden = np.maximum(z @ model.hidden_weights_ + model.hidden_bias_, 0)
    network = softmax(hidden @ model.output_weights_ + model.output_bias_)
    assert (network.argmax(1) == y).mean() > 0.6
    expected = 0.5 * trees + 0.3 * linear + 0.2 * network
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


def in_one_frame(labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows whose frame shows: x is larger than y."""
    X, y = small(labels)
    X[:, 0] += 4
    X[:, 3] = np.hypot(X[:, 1], X[:, 2])  # so that exchanged twice is as before
    return X, y


def test_a_window_is_classified_in_the_frame_that_is_likelier() -> None:
    X, y = in_one_frame(3)
    one = TreesLinearAndNetwork(rounds=20).fit(X, y)
    both = TreesLinearAndNetwork(rounds=20, exchange=EXCHANGE, frame_epochs=100, frame_margin=1).fit(X, y)
    other = exchanged(X, EXCHANGE)
    np.testing.assert_allclose(both.predict_proba(X), one.predict_proba(X), atol=0.1)
    away = np.abs(both.predict_proba(other) - both.predict_proba(X)).mean()
    assert away < np.abs(one.predict_proba(other) - one.predict_proba(X)).mean() / 2
    np.testing.assert_allclose(both.predict_proba(other).sum(1), 1)
    # where the frame is known a window stays as it came
    known = np.arange(len(X)) % 2 == 0
    found = both.predict_proba(other, known)
    np.testing.assert_allclose(found[known], one.predict_proba(other)[known], atol=1e-9)
    np.testing.assert_allclose(found[~known], both.predict_proba(other)[~known], atol=1e-9)
    assert np.array_equal(both.predict_proba(other, ~known & known), both.predict_proba(other))
    np.testing.assert_allclose(both.predict_proba(other, known | ~known), one.predict_proba(other), atol=1e-9)


def test_frames_are_stored_and_checked_and_files_without_them_are_read() -> None:
    X, y = in_one_frame(2)
    pipeline = classifier_pipeline(TreesLinearAndNetwork(rounds=5, exchange=EXCHANGE)).fit(X, y)
    loaded = export.load(export.dump(pipeline), "a model")
    assert np.array_equal(loaded.predict_proba(X), pipeline.predict_proba(X))
    export.check(loaded)
    for wrong in (EXCHANGE[:-1], [*EXCHANGE[:-1], 12], [-1, *EXCHANGE[1:]], [0.5, *EXCHANGE[1:]]):
        loaded["model"].exchange = wrong
        with pytest.raises(ValueError, match="exchange"):
            export.check(loaded)
    before = classifier_pipeline(TreesLinearAndNetwork(rounds=5, linear_share=None)).fit(X, y)
    answers = before.predict_proba(X)
    del before["model"].exchange
    del before["model"].frame_margin
    del before["model"].linear_share
    export.check(before)
    assert np.array_equal(before.predict_proba(X), answers)


def test_a_family_without_frames_is_made_as_before() -> None:
    assert classifier_of("trees_linear_and_network", ["x", "y"], 1)["model"].exchange is None
    assert classifier_of("trees_and_linear", ["x", "y"], 1)["model"].seed == 1
