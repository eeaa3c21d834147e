"""The table of model families: name (a value of `models.classifier`) -> class that keeps models/contract."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence

from sklearn.pipeline import Pipeline

from activitymodule.errors import ConfigError
from activitymodule.models.activity import TreesAndLinear
from activitymodule.models.contract import Classifier, Regressor, classifier_pipeline
from activitymodule.models.energy import BoostedTrees
from activitymodule.models.network import TreesLinearAndNetwork
from activitymodule.models.textbook.kernel import SupportVectors
from activitymodule.models.textbook.linear import LogisticRegression
from activitymodule.models.textbook.neighbours import KNearestNeighbours
from activitymodule.models.textbook.perceptron import Perceptron
from activitymodule.models.textbook.trees import DecisionTree, RandomForest
from activitymodule.windows.exchange import exchange_of

TEXTBOOK: dict[str, type[Classifier]] = {
    "logistic_regression": LogisticRegression,
    "nearest_neighbours": KNearestNeighbours,
    "support_vectors": SupportVectors,
    "decision_tree": DecisionTree,
    "random_forest": RandomForest,
    "perceptron": Perceptron,
}
"""Classifiers that recipes are compared with."""
CLASSIFIERS: dict[str, type[Classifier]] = {
    "trees_and_linear": TreesAndLinear,
    "trees_linear_and_network": TreesLinearAndNetwork,
    **TEXTBOOK,
}
REGRESSORS: dict[str, type[Regressor]] = {"boosted_trees": BoostedTrees}


def classifier_family(name: str) -> type[Classifier]:
    """The classifier of a name. Raises ConfigError, with the nearest name, where there is none."""
    if name in CLASSIFIERS:
        return CLASSIFIERS[name]
    near = difflib.get_close_matches(name, CLASSIFIERS, 1, 0.5)
    meant = f"did you mean {near[0]}?" if near else f"known are: {', '.join(sorted(CLASSIFIERS))}"
    raise ConfigError(f"{name!r} is not a model family; {meant}")


def classifier_of(name: str, feature_names: Sequence[str], seed: int) -> Pipeline:
    """The whole classifier of a family, not fitted, for windows with these features. Raises ConfigError."""
    family = classifier_family(name)
    if "exchange" in inspect.signature(family).parameters:
        return classifier_pipeline(family(seed=seed, exchange=exchange_of(feature_names)))  # type: ignore[call-arg]
    return classifier_pipeline(family(seed=seed))
