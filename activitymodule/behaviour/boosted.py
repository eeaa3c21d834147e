"""LightGBM for classes of a day or a person; models/energy has the one for numbers."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from activitymodule.errors import NotEnoughDataError
from activitymodule.models.boosting import KeepsBooster, grow, predict


class BoostedClassifier(KeepsBooster, ClassifierMixin, BaseEstimator):
    """LightGBM over codes of classes. X : (n, n_columns), NaN is a value of its own; y : int codes (n,)"""

    classes_: np.ndarray

    def __init__(
        self,
        rounds: int = 200,
        learning_rate: float = 0.05,
        leaves: int = 15,
        least_rows_a_leaf: int = 20,
        column_share: float = 0.6,
        row_share: float = 0.8,
        leaf_penalty: float = 5.0,
        seed: int = 0,
    ) -> None:
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.least_rows_a_leaf = least_rows_a_leaf
        self.column_share = column_share
        self.row_share = row_share
        self.leaf_penalty = leaf_penalty
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> BoostedClassifier:
        """Learn. Raises NotEnoughDataError where there is one class only."""
        self.classes_, code = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise NotEnoughDataError("a classifier needs rows of at least two classes; the data has one")
        self.n_features_in_ = X.shape[1]
        self._booster = None
        self.trees_ = grow(
            X,
            code,
            self.rounds,
            objective="multiclass",
            num_class=len(self.classes_),
            learning_rate=self.learning_rate,
            num_leaves=self.leaves,
            min_data_in_leaf=self.least_rows_a_leaf,
            feature_fraction=self.column_share,
            bagging_fraction=self.row_share,
            bagging_freq=1,
            lambda_l2=self.leaf_penalty,
            seed=self.seed,
        )
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities of the classes, float64 (n, n_classes)."""
        return (
            predict(self._grown(), np.ascontiguousarray(X)) if len(X) else np.empty((0, len(self.classes_)))
        )

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class, (n,)."""
        return self.classes_[self.predict_proba(X).argmax(1)]
