"""Support vector machine with a Gaussian kernel. Its file holds the features of the windows at its margins."""

from __future__ import annotations

import numpy as np
from sklearn.svm import SVC
from typing_extensions import override

from activitymodule.models.activity import softmax
from activitymodule.models.textbook.base import TextbookClassifier

_ROWS = 2048  # of one step of a prediction


class SupportVectors(TextbookClassifier):
    """One machine for each pair of classes, as sklearn's SVC trains them (libsvm); the kernel's width is sklearn's
    `scale`. Predictions are numpy's, on the arrays in the file.

    vectors_ : float32 (n_vectors, n_features), by class; counts_ : int (n_classes,), vectors of each class; weights_ :
    (n_classes - 1, n_vectors), libsvm's dual coefficients; intercepts_ : (n_pairs,)
    """

    def __init__(self, freedom: float = 1.0, power: float = 1.0, seed: int = 0) -> None:
        self.freedom = freedom
        self.power = power
        self.seed = seed

    @override
    def _learn(self, X: np.ndarray, code: np.ndarray, weight: np.ndarray) -> None:
        scores = self._standardised(X).astype(np.float32).astype(np.float64)
        self.gamma_ = float(1 / (scores.shape[1] * scores.var()))
        machine = SVC(C=self.freedom, gamma=self.gamma_, cache_size=500).fit(scores, code, weight)
        self.vectors_ = machine.support_vectors_.astype(np.float32)
        self.counts_ = machine.n_support_.astype(np.int64)
        self.weights_, self.intercepts_ = machine.dual_coef_, machine.intercept_
        if len(self.classes_) == 2:
            # sklearn turns the sign of the only pair
            self.weights_, self.intercepts_ = -machine.dual_coef_, -machine.intercept_

    @override
    def _raw(self, X: np.ndarray) -> np.ndarray:
        scores = self._standardised(X).astype(np.float32)
        parts = [self._decisions(scores[low : low + _ROWS]) for low in range(0, len(X), _ROWS)]
        return softmax(np.concatenate(parts))

    def _decisions(self, scores: np.ndarray) -> np.ndarray:
        """A number for each class, (n_windows, n_classes): the pairs it wins, and a part of one by how clearly, as
        sklearn's `decision_function` gives it."""
        vectors = self.vectors_
        square = (scores**2).sum(1)[:, None] + (vectors**2).sum(1) - 2 * (scores @ vectors.T)
        kernel = np.exp(-self.gamma_ * np.maximum(square, 0).astype(np.float64))
        ends = np.cumsum(self.counts_)
        own = [slice(end - count, end) for end, count in zip(ends, self.counts_, strict=True)]
        wins, sums = (np.zeros((len(scores), len(own))) for _ in range(2))
        pair = 0
        for i in range(len(own)):
            for j in range(i + 1, len(own)):
                decision = kernel[:, own[i]] @ self.weights_[j - 1, own[i]]
                decision += kernel[:, own[j]] @ self.weights_[i, own[j]] + self.intercepts_[pair]
                wins[:, i] += decision > 0
                wins[:, j] += decision <= 0
                sums[:, i] += decision
                sums[:, j] -= decision
                pair += 1
        return wins + sums / (3 * (np.abs(sums) + 1))

    @override
    def check(self) -> None:
        super().check()
        classes, n = len(self.classes_), len(self.vectors_)
        self._check_shapes(
            {
                "vectors_": (n, self.n_features_in_),
                "counts_": (classes,),
                "weights_": (classes - 1, n),
                "intercepts_": (classes * (classes - 1) // 2,),
            }
        )
        counts = np.asarray(self.counts_)
        if counts.dtype.kind != "i" or (counts < 0).any() or counts.sum() != n:
            raise ValueError("its vectors are not those of its classes")
        if not self.gamma_ > 0:
            raise ValueError("gamma_ is not above 0")
