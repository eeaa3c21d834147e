"""K nearest neighbours. Its file holds the features of every window it learnt from."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors
from typing_extensions import override

from activitymodule.models.textbook.base import TextbookClassifier


class KNearestNeighbours(TextbookClassifier):
    """The votes of the nearest windows by standard scores (Euclidean), each with its weight in the training."""

    _index: NearestNeighbors | None = None

    def __init__(self, neighbours: int = 7, power: float = 1.0, seed: int = 0) -> None:
        self.neighbours = neighbours
        self.power = power
        self.seed = seed

    @override
    def _learn(self, X: np.ndarray, code: np.ndarray, weight: np.ndarray) -> None:
        self._index = None
        self.windows_ = self._standardised(X).astype(np.float32)
        self.codes_ = np.asarray(code, np.int64)
        self.weights_ = np.asarray(weight, np.float32)

    @override
    def _raw(self, X: np.ndarray) -> np.ndarray:
        if self._index is None:
            nearest = NearestNeighbors(
                n_neighbors=min(self.neighbours, len(self.windows_)), algorithm="brute"
            )
            self._index = nearest.fit(self.windows_)
        places = self._index.kneighbors(self._standardised(X).astype(np.float32), return_distance=False)
        votes = np.zeros((len(X), len(self.classes_)))
        rows = np.repeat(np.arange(len(X)), places.shape[1])
        np.add.at(votes, (rows, self.codes_[places].ravel()), self.weights_[places].ravel())
        return votes / votes.sum(1, keepdims=True)

    @override
    def check(self) -> None:
        super().check()
        n = len(self.windows_)
        self._check_shapes({"windows_": (n, self.n_features_in_), "codes_": (n,), "weights_": (n,)})
        if self.neighbours < 1 or not n:
            raise ValueError("it has no neighbours")
        codes = np.asarray(self.codes_)
        if codes.dtype.kind != "i" or (codes < 0).any() or (codes >= len(self.classes_)).any():
            raise ValueError("a window has a class that the model does not")
        if not (np.asarray(self.weights_) > 0).all():
            raise ValueError("a window has no weight")

    def __getstate__(self) -> dict[str, object]:
        state: dict[str, object] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_index"}
