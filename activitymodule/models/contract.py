"""The contract of a model family: what training, export, the scorer and the gate need of a classifier or regressor.

A family is one class that keeps `Classifier` or `Regressor`, and one entry in models/families. The class is an
sklearn estimator: parameters of `__init__` are stored as given, `fit` learns, learnt attributes end with `_`. It
consists of numbers, strings and arrays, so that skops can store it; a further type must be named in
`trusted_types`. A family whose code does not check what it is given (C++ that would end the process) has a method
`check`, called once after loading, which raises ModelError or ValueError where an attribute cannot be right. The same
data and seed give the same model. A classifier with a parameter `exchange` is given the places of the features with
the axes x and y exchanged (windows/exchange), None where there are none; with them its `predict_proba` has a parameter
`frame_known`, the windows (n_windows,) that need not be asked about in the other frame.
"""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline


class Classifier(Protocol):
    """An activity classifier.

    X : float32 ndarray of shape (n_windows, n_features), finite; y : int codes (n_windows,); sample_weight :
    (n_windows,). `classes_` : the codes that were seen, sorted; the columns of the probabilities. Where it has
    `centre_` and `scale_` (n_features,), the training mean and deviation of the features, the queue can tell
    how far a window lies from the training data.
    """

    classes_: np.ndarray

    def __init__(self, *, seed: int = 0) -> None: ...

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Self:
        """Learn; raises DataError where there are fewer than two classes."""
        ...

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities (n_windows, n_classes); rows add up to 1."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """The parameters, for the record of a version."""
        ...


class Regressor(Protocol):
    """An energy regressor.

    X : float64 ndarray of shape (n_windows, n_columns), NaN where missing; y : kcal/min (n_windows,)
    """

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Self:
        """Learn."""
        ...

    def predict(self, X: np.ndarray) -> np.ndarray:
        """kcal/min (n_windows,), never below 0."""
        ...


def classifier_pipeline(model: Classifier) -> Pipeline:
    """The whole classifier: the median for what is missing, then the model, as the step `model`."""
    return Pipeline(
        [("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("model", model)]
    )


def weighs_frames(model: Pipeline) -> bool:
    """Whether a classifier asks about a window in both axis frames."""
    return getattr(model.steps[-1][1], "exchange", None) is not None


def probabilities_of(model: Pipeline, X: np.ndarray, frame_known: np.ndarray | None = None) -> np.ndarray:
    """Probabilities (n_windows, n_classes) of a whole classifier; frame_known : bool (n_windows,), by default none."""
    if frame_known is None or not weighs_frames(model):
        return np.asarray(model.predict_proba(X))
    return np.asarray(model.predict_proba(X, frame_known=frame_known))


def trusted_types(family: type) -> tuple[str, ...]:
    """The types that a model file of the family may hold: its class, and those in its `trusted_types`."""
    return (f"{family.__module__}.{family.__qualname__}", *getattr(family, "trusted_types", ()))
