"""Random forests of models on daily records, kept as plain arrays (models/tree_arrays)."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from activitymodule.models.tree_arrays import TreeArrays


class ArrayForest(TreeArrays, BaseEstimator):
    """The parameters of a forest."""

    def __init__(
        self,
        trees: int = 100,
        depth: int | None = None,
        least_rows_a_leaf: int = 1,
        column_share: float = 0.4,
        seed: int = 0,
    ) -> None:
        self.trees = trees
        self.depth = depth
        self.least_rows_a_leaf = least_rows_a_leaf
        self.column_share = column_share
        self.seed = seed

    def parameters(self) -> dict[str, int | float | None]:
        """Sklearn's names of the parameters. Trees grow on all cores, each from a seed of its own: the same on any
        number of cores."""
        return {
            "n_estimators": self.trees,
            "max_depth": self.depth,
            "min_samples_leaf": self.least_rows_a_leaf,
            "max_features": self.column_share,
            "random_state": self.seed,
            "n_jobs": -1,
        }


class ForestClassifier(ArrayForest, ClassifierMixin):
    """A random forest over codes of classes. X : (n, n_columns), finite; y : int codes (n,)"""

    classes_: np.ndarray

    def fit(self, X: np.ndarray, y: np.ndarray) -> ForestClassifier:
        """Learn."""
        grown = RandomForestClassifier(**self.parameters()).fit(X, y)
        self.classes_ = np.asarray(grown.classes_, np.int64)
        self._keep([one.tree_ for one in grown.estimators_], X.shape[1])
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities of the classes, float64 (n, n_classes)."""
        share = self._mean_output(X)
        return np.asarray(share / share.sum(1, keepdims=True))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class, (n,)."""
        return self.classes_[self.predict_proba(X).argmax(1)]


class ForestRegressor(ArrayForest, RegressorMixin):
    """A random forest for a number. X : (n, n_columns), finite; y : (n,)"""

    def fit(self, X: np.ndarray, y: np.ndarray) -> ForestRegressor:
        """Learn."""
        return self.keep(RandomForestRegressor(**self.parameters()).fit(X, y))

    def keep(self, grown: RandomForestRegressor) -> ForestRegressor:
        """Take over the trees of a forest that sklearn has grown."""
        self._keep([one.tree_ for one in grown.estimators_], grown.n_features_in_)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The number of each row, float64 (n,)."""
        return self._mean_output(X)[:, 0]
