"""Logistic regression on standard scores."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression
from typing_extensions import override

from activitymodule.models.activity import softmax
from activitymodule.models.textbook.base import TextbookClassifier


class LogisticRegression(TextbookClassifier):
    """Multinomial logistic regression with an L2 penalty; freedom : sklearn's C, the inverse of the penalty."""

    def __init__(
        self, freedom: float = 1.0, iterations: int = 2000, power: float = 1.0, seed: int = 0
    ) -> None:
        self.freedom = freedom
        self.iterations = iterations
        self.power = power
        self.seed = seed

    @override
    def _learn(self, X: np.ndarray, code: np.ndarray, weight: np.ndarray) -> None:
        linear = SklearnLogisticRegression(C=self.freedom, max_iter=self.iterations)
        linear.fit(self._standardised(X), code, weight)
        self.coefficients_, self.intercepts_ = linear.coef_, linear.intercept_
        if len(self.classes_) == 2:
            # one row of odds, as two rows of scores
            self.coefficients_ = np.concatenate([np.zeros_like(linear.coef_), linear.coef_])
            self.intercepts_ = np.concatenate([np.zeros(1), linear.intercept_])

    @override
    def _raw(self, X: np.ndarray) -> np.ndarray:
        return softmax(self._standardised(X) @ self.coefficients_.T + self.intercepts_)

    @override
    def check(self) -> None:
        super().check()
        classes = len(self.classes_)
        self._check_shapes(
            {"coefficients_": (classes, self.n_features_in_), "intercepts_": (classes,)},
        )
