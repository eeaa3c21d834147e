"""What the textbook classifiers share: standard scores as their input, and a power that calibrates their answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from activitymodule.errors import NotEnoughDataError
from activitymodule.models.recalibration import powered

_CLIP_SD = 3.0  # as the recipe that ships: the comparison is one of models, not of how they take outliers


class TextbookClassifier(ClassifierMixin, BaseEstimator):
    """Probabilities to the power `power`, renormalised; a training sets it by what models say of held-out people.

    X : (n_windows, n_features), finite; y : int codes (n_windows,); centre_, scale_ : (n_features,), mean and deviation
    of the training
    """

    power_by_held_out = True
    """Whether a training chooses `power` (models/training)."""

    power: float
    classes_: np.ndarray
    n_features_in_: int
    centre_: np.ndarray
    scale_: np.ndarray

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Self:
        """Learn. Raises NotEnoughDataError where there are fewer than two classes."""
        self.classes_, code = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise NotEnoughDataError(
                "a classifier needs windows of at least two activities; the data has one"
            )
        wide = np.asarray(X, np.float64)
        sd = wide.std(0)
        self.n_features_in_ = wide.shape[1]
        self.centre_ = wide.mean(0)
        self.scale_ = np.where(sd > 1e-12, sd, 1.0)
        self._learn(np.asarray(X), code, np.ones(len(wide)) if sample_weight is None else sample_weight)
        return self

    @abstractmethod
    def _learn(self, X: np.ndarray, code: np.ndarray, weight: np.ndarray) -> None:
        """Learn from codes of classes, int (n_windows,), and weights (n_windows,)."""

    @abstractmethod
    def _raw(self, X: np.ndarray) -> np.ndarray:
        """Probabilities before the power, float64 (n_windows, n_classes)."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities of the classes, float64 (n_windows, n_classes); rows add up to 1."""
        if not len(X):
            return np.empty((0, len(self.classes_)))
        return powered(np.asarray(self._raw(np.asarray(X)), np.float64), self.power)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class of each window, (n_windows,)."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    def check(self) -> None:
        """Raises ValueError where shapes or numbers cannot be right."""
        classes = len(self.classes_)
        if classes < 2 or not np.array_equal(self.classes_, np.arange(classes)):
            raise ValueError("its classes are not 0, 1, 2, ...")
        self._check_shapes({"centre_": (self.n_features_in_,), "scale_": (self.n_features_in_,)})
        if not (np.asarray(self.scale_) > 0).all():
            raise ValueError("scale_ is not above 0")
        if not (np.isfinite(self.power) and self.power > 0):
            raise ValueError("its power is not above 0")

    def _check_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        for name, shape in shapes.items():
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} has the shape {np.shape(getattr(self, name))} and not {shape}")

    def _standardised(self, X: np.ndarray) -> np.ndarray:
        return np.clip((X - self.centre_) / self.scale_, -_CLIP_SD, _CLIP_SD)
