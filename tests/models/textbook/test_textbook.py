"""Textbook classifiers: they are those of sklearn, keep the contract of a family, and their files are checked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from activitymodule.models import export
from activitymodule.models.contract import classifier_pipeline
from activitymodule.models.families import TEXTBOOK
from activitymodule.models.textbook.base import TextbookClassifier
from activitymodule.models.textbook.kernel import SupportVectors
from activitymodule.models.textbook.linear import LogisticRegression
from activitymodule.models.textbook.neighbours import KNearestNeighbours
from activitymodule.models.textbook.trees import DecisionTree, RandomForest


def small(labels: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(0)
    y = np.arange(n) % labels
    X = dice.normal(size=(n, 12)).astype(np.float32)
    X[:, :4] += 1.2 * dice.normal(size=(labels, 4))[y]
    return X, y


@pytest.mark.parametrize("labels", [2, 4])
@pytest.mark.parametrize("name", sorted(TEXTBOOK))
def test_it_keeps_the_contract_and_is_stored(name: str, labels: int) -> None:
    X, y = small(labels)
    weight = np.where(np.arange(len(y)) % 3 == 0, 0.25, 1.0)
    few = {"trees": 12} if name == "random_forest" else {}
    made = [
        classifier_pipeline(TEXTBOOK[name](seed=3)).set_params(**{f"model__{k}": v for k, v in few.items()})
        for _ in range(2)
    ]
    first, second = (one.fit(X, y, model__sample_weight=weight) for one in made)
    said = first.predict_proba(X)
    assert said.shape == (len(X), labels)
    np.testing.assert_allclose(said.sum(1), 1)
    assert (said.argmax(1) == y).mean() > 0.6
    # the same data and seed make the same model
    np.testing.assert_array_equal(second.predict_proba(X), said)
    loaded = export.load(export.dump(first), "it")
    export.check(loaded)
    np.testing.assert_allclose(loaded.predict_proba(X), said, rtol=1e-6)
    assert first["model"].predict_proba(X[:0]).shape == (0, labels)
    # a power sharpens and keeps the order
    sharp = first.set_params(model__power=2.0).predict_proba(X)
    np.testing.assert_allclose(sharp, said**2 / (said**2).sum(1, keepdims=True), atol=1e-9)


def _scores(model: TextbookClassifier, X: np.ndarray) -> np.ndarray:
    return np.clip((X - model.centre_) / model.scale_, -3, 3)


def test_answers_are_those_of_sklearn() -> None:
    X, y = small(4)
    linear = LogisticRegression().fit(X, y)
    scores = _scores(linear, X)
    own = SklearnLogisticRegression(max_iter=2000).fit(scores, y)
    np.testing.assert_allclose(linear.predict_proba(X), own.predict_proba(scores), atol=1e-6)
    near = KNearestNeighbours().fit(X, y)
    votes = KNeighborsClassifier(7, algorithm="brute").fit(scores.astype(np.float32), y)
    np.testing.assert_allclose(
        near.predict_proba(X), votes.predict_proba(scores.astype(np.float32)), atol=1e-6
    )
    tree = DecisionTree(seed=2).fit(X, y)
    grown = DecisionTreeClassifier(max_depth=8, min_samples_leaf=10, random_state=2).fit(X, y)
    np.testing.assert_allclose(tree.predict_proba(X), grown.predict_proba(X), atol=1e-6)
    forest = RandomForest(trees=9, seed=2).fit(X, y)
    # with weights, if even ones, sklearn draws its samples in another way
    trees = RandomForestClassifier(9, min_samples_leaf=2, random_state=2).fit(X, y, np.ones(len(y)))
    np.testing.assert_allclose(forest.predict_proba(X), trees.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("labels", [2, 3, 5])
def test_support_vectors_decide_as_sklearn_does(labels: int) -> None:
    X, y = small(labels)
    machine = SupportVectors().fit(X, y)
    scores = _scores(machine, X).astype(np.float32).astype(np.float64)
    own = SVC(C=1, gamma="scale", break_ties=labels > 2).fit(scores, y)
    assert (machine.predict(X) == own.predict(scores)).mean() > 0.99


def _shorter(name: str) -> Callable[[TextbookClassifier], None]:
    def change(model: TextbookClassifier) -> None:
        setattr(model, name, getattr(model, name)[:-1])

    return change


DAMAGE: dict[str, tuple[str, Callable[[TextbookClassifier], None]]] = {
    "a shorter scale": ("logistic_regression", _shorter("scale_")),
    "coefficients of another size": ("logistic_regression", _shorter("coefficients_")),
    "a class beyond the classes": ("nearest_neighbours", lambda m: setattr(m, "codes_", m.codes_ + 9)),
    "windows without weight": ("nearest_neighbours", lambda m: setattr(m, "weights_", m.weights_ * 0)),
    "vectors of no class": ("support_vectors", lambda m: setattr(m, "counts_", m.counts_ + 1)),
    "a tree with children elsewhere": ("decision_tree", lambda m: setattr(m, "right_", m.right_ + 10_000)),
    "a perceptron without outputs": ("perceptron", _shorter("output_bias_")),
    "no power": ("perceptron", lambda m: setattr(m, "power", 0.0)),
}


@pytest.mark.parametrize("case", sorted(DAMAGE))
def test_a_damaged_file_is_refused(case: str) -> None:
    name, damage = DAMAGE[case]
    X, y = small(3, 90)
    pipeline = classifier_pipeline(TEXTBOOK[name]()).fit(X, y)
    damage(pipeline["model"])
    with pytest.raises(ValueError, match=r"."):
        export.check(pipeline)
