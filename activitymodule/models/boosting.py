"""Boosted trees as text: LightGBM's own model format, which can be read without trusting any code.

The estimators of this package keep their trees as that text, so that skops stores nothing but numbers and
strings of them. Training and predicting use one thread: the scorer runs one process a core.
"""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np

from activitymodule.models.trees import check_trees

_ALWAYS: dict[str, bool | int] = {
    "verbosity": -1,
    "num_threads": 1,
    # the same data and seed make the same trees, to the last bit
    "deterministic": True,
    "force_row_wise": True,
}


def grow(
    X: np.ndarray, y: np.ndarray, rounds: int, weight: np.ndarray | None = None, **parameters: Any
) -> str:
    """Trees fitted to X (n, k) and y (n,), as LightGBM's text; `parameters` are LightGBM's own names."""
    # columns are known by their place here: names are kept, and checked, beside the model
    data = lgb.Dataset(np.ascontiguousarray(X), y, weight=weight, free_raw_data=True)
    booster = lgb.train({**_ALWAYS, **parameters}, data, num_boost_round=rounds)
    return booster.model_to_string(num_iteration=-1)


def booster_of(text: str) -> lgb.Booster:
    """The booster of its text."""
    return lgb.Booster(model_str=text)


def predict(booster: lgb.Booster, X: np.ndarray) -> np.ndarray:
    """Predictions for X (n, k): (n,) or, for several classes, (n, n_classes); float64."""
    return np.asarray(booster.predict(X, num_threads=1, validate_features=False))


class KeepsBooster:
    """Mixin: a booster made once from `trees_`, never stored and never copied."""

    trees_: str
    n_features_in_: int
    _booster: lgb.Booster | None = None

    def check(self) -> None:
        """Raises ModelError where the trees cannot be read and walked safely."""
        check_trees(self.trees_, self.n_features_in_, len(getattr(self, "classes_", (0,))))

    def _grown(self) -> lgb.Booster:
        if self._booster is None:
            self._booster = booster_of(self.trees_)
        return self._booster

    def __getstate__(self) -> dict[str, object]:
        state: dict[str, object] = super().__getstate__()  # type: ignore[assignment]
        return {name: value for name, value in state.items() if name != "_booster"}
