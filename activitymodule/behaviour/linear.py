"""A linear model of two classes as numbers: what another program fitted (Spark's MLlib), used without it."""

from __future__ import annotations

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin


class LinearClassifier(ClassifierMixin, BaseEstimator):
    """Logistic regression on standardised columns, the median in place of what is missing.

    medians, scales, coefficients : (n_columns,); intercept : of the standardised columns; they are parameters, so
    that there is nothing to fit. X : (n, n_columns), NaN where missing
    """

    def __init__(
        self,
        medians: np.ndarray | None = None,
        scales: np.ndarray | None = None,
        coefficients: np.ndarray | None = None,
        intercept: float = 0.0,
    ) -> None:
        self.medians = medians
        self.scales = scales
        self.coefficients = coefficients
        self.intercept = intercept

    def fit(self, X: np.ndarray, _y: np.ndarray) -> LinearClassifier:
        """Take over the numbers."""
        self.classes_ = np.arange(2)
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    def check(self) -> None:
        """Raises ValueError where its numbers cannot be right."""
        for name in ("medians", "scales", "coefficients"):
            values = getattr(self, name)
            if np.shape(values) != (self.n_features_in_,) or not np.isfinite(values).all():
                raise ValueError(f"{name} are not {self.n_features_in_} finite numbers")
        if not (np.asarray(self.scales) > 0).all() or not np.isfinite(self.intercept):
            raise ValueError("its scales are not above 0, or its intercept is not finite")

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities, float64 (n, 2)."""
        assert self.medians is not None
        assert self.scales is not None
        assert self.coefficients is not None
        X = np.asarray(X, np.float64)
        filled = np.where(np.isnan(X), self.medians, X)
        yes = expit(filled / self.scales @ self.coefficients + self.intercept)
        return np.stack([1 - yes, yes], 1)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """0 or 1, (n,)."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(int)
