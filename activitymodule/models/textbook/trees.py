"""A decision tree and a random forest, kept as plain arrays (models/tree_arrays)."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier
from typing_extensions import override

from activitymodule.models.textbook.base import TextbookClassifier
from activitymodule.models.tree_arrays import TreeArrays


class _Trees(TreeArrays, TextbookClassifier):
    """Trees ask for the features as they are, not for standard scores."""

    @override
    def _raw(self, X: np.ndarray) -> np.ndarray:
        share = self._mean_output(X)
        return np.asarray(share / share.sum(1, keepdims=True))

    @override
    def check(self) -> None:
        TextbookClassifier.check(self)
        TreeArrays.check(self)
        if self.outputs_.shape[1] != len(self.classes_):
            raise ValueError("its trees give numbers of other classes")


class DecisionTree(_Trees):
    """One tree of a limited depth."""

    def __init__(
        self, depth: int = 8, least_windows_a_leaf: int = 10, power: float = 1.0, seed: int = 0
    ) -> None:
        self.depth = depth
        self.least_windows_a_leaf = least_windows_a_leaf
        self.power = power
        self.seed = seed

    @override
    def _learn(self, X: np.ndarray, code: np.ndarray, weight: np.ndarray) -> None:
        tree = DecisionTreeClassifier(
            max_depth=self.depth, min_samples_leaf=self.least_windows_a_leaf, random_state=self.seed
        )
        self._keep([tree.fit(X, code, weight).tree_], X.shape[1])


class RandomForest(_Trees):
    """Trees of bootstrap samples, whose splits choose among sqrt(n_features) features."""

    def __init__(
        self, trees: int = 400, least_windows_a_leaf: int = 2, power: float = 1.0, seed: int = 0
    ) -> None:
        self.trees = trees
        self.least_windows_a_leaf = least_windows_a_leaf
        self.power = power
        self.seed = seed

    @override
    def _learn(self, X: np.ndarray, code: np.ndarray, weight: np.ndarray) -> None:
        forest = RandomForestClassifier(
            self.trees, min_samples_leaf=self.least_windows_a_leaf, random_state=self.seed
        ).fit(X, code, weight)
        self._keep([one.tree_ for one in forest.estimators_], X.shape[1])
