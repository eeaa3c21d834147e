"""The activity classifier: boosted trees and a linear model, averaged, as one sklearn Pipeline.

Measured on real watches (docs/models.md): the trees learn interactions, the linear model extrapolates to people
unlike those of the training; their mean is better than either. It is slightly underconfident, which a power corrects.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from typing_extensions import override

from activitymodule.errors import NotEnoughDataError
from activitymodule.models.boosting import KeepsBooster, grow, predict
from activitymodule.models.contract import classifier_pipeline
from activitymodule.windows.catalogue import FEATURES, MOTION_FAMILIES


def feature_names(families: tuple[str, ...] = MOTION_FAMILIES) -> tuple[str, ...]:
    """Names of the features of these families, in the order of windows.features.

    By default of the acceleration alone: heart rate, steps and rotation are not measured by every source, and a
    model that depends on them fails on a watch without them.
    """
    return tuple(feature.name for feature in FEATURES if feature.family in families)


class TreesAndLinear(KeepsBooster, ClassifierMixin, BaseEstimator):
    """Mean of LightGBM and a logistic regression on clipped standard scores, sharpened by a power.

    X : ndarray of shape (n_windows, n_features), finite. Probabilities are ((trees + linear) / 2) ** power,
    renormalised; averaging two models makes them underconfident, which a power above 1 corrects.
    """

    def __init__(
        self,
        rounds: int = 300,
        learning_rate: float = 0.04,
        leaves: int = 7,
        least_windows_a_leaf: int = 20,
        feature_share: float = 0.1,
        window_share: float = 0.7,
        leaf_penalty: float = 5.0,
        linear_freedom: float = 0.03,
        clip_sd: float = 3.0,
        power: float = 1.18,
        seed: int = 0,
    ) -> None:
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.least_windows_a_leaf = least_windows_a_leaf
        self.feature_share = feature_share
        self.window_share = window_share
        self.leaf_penalty = leaf_penalty
        self.linear_freedom = linear_freedom
        self.clip_sd = clip_sd
        self.power = power
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> TreesAndLinear:
        """Learn from X (n_windows, n_features) and labels y (n_windows,)."""
        self.classes_, code = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise NotEnoughDataError(
                "a classifier needs windows of at least two activities; the data has one"
            )
        X = np.asarray(X)
        self.n_features_in_ = X.shape[1]
        self._booster = None
        self.trees_ = grow(
            X,
            code,
            self.rounds,
            sample_weight,
            objective="multiclass",
            num_class=len(self.classes_),
            learning_rate=self.learning_rate,
            num_leaves=self.leaves,
            min_data_in_leaf=self.least_windows_a_leaf,
            feature_fraction=self.feature_share,
            bagging_fraction=self.window_share,
            bagging_freq=1,
            lambda_l2=self.leaf_penalty,
            seed=self.seed,
        )
        wide = X.astype(np.float64)
        sd = wide.std(0)
        self.centre_ = wide.mean(0)
        self.scale_ = np.where(sd > 1e-12, sd, 1.0)
        linear = LogisticRegression(C=self.linear_freedom, max_iter=1000)
        linear.fit(self._standardised(X), code, sample_weight)
        if len(self.classes_) == 2:
            # one row of odds, as two rows of scores
            self.coefficients_ = np.concatenate([np.zeros_like(linear.coef_), linear.coef_])
            self.intercepts_ = np.concatenate([np.zeros(1), linear.intercept_])
        else:
            self.coefficients_, self.intercepts_ = linear.coef_, linear.intercept_
        return self

    @override
    def check(self) -> None:
        """Raises ModelError where the trees cannot be read, ValueError where shapes or numbers cannot be right."""
        super().check()
        inputs, classes = self.n_features_in_, len(self.classes_)
        if not np.array_equal(self.classes_, np.arange(classes)):
            raise ValueError("its classes are not 0, 1, 2, ...")
        shapes = {
            "centre_": (inputs,),
            "scale_": (inputs,),
            "coefficients_": (classes, inputs),
            "intercepts_": (classes,),
        }
        self._check_shapes(shapes)
        if not (self.scale_ > 0).all():
            raise ValueError("scale_ is not above 0")

    def _check_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        for name, shape in shapes.items():
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} has the shape {np.shape(getattr(self, name))} and not {shape}")

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities of the classes, float64 ndarray of shape (n_windows, n_classes); rows add up to 1."""
        X = np.ascontiguousarray(X)
        if not len(X):
            return np.empty((0, len(self.classes_)))
        return self._sharpened(self._mean(X))

    def _sharpened(self, mean: np.ndarray) -> np.ndarray:
        sharp = mean**self.power
        return np.asarray(sharp / sharp.sum(1, keepdims=True))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class of each window, ndarray of shape (n_windows,)."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    def _mean(self, X: np.ndarray) -> np.ndarray:
        return (self._trees(X) + self._linear(self._standardised(X))) / 2

    def _trees(self, X: np.ndarray) -> np.ndarray:
        return predict(self._grown(), X)

    def _linear(self, scores: np.ndarray) -> np.ndarray:
        return softmax(scores @ self.coefficients_.T + self.intercepts_)

    def _standardised(self, X: np.ndarray) -> np.ndarray:
        return np.clip((X - self.centre_) / self.scale_, -self.clip_sd, self.clip_sd)


def softmax(score: np.ndarray) -> np.ndarray:
    """Probabilities of scores (n_windows, n_classes), of the same shape."""
    odds = np.exp(score - score.max(1, keepdims=True))
    return np.asarray(odds / odds.sum(1, keepdims=True))


def activity_pipeline(seed: int = 0, **parameters: float) -> Pipeline:
    """The whole classifier of this family: the median for what is missing, then TreesAndLinear with `parameters`."""
    return classifier_pipeline(TreesAndLinear(seed=seed, **parameters))  # type: ignore[arg-type]
