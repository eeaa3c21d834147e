"""Doubt by the distance from the training data."""

from __future__ import annotations

import numpy as np

from activitymodule.learning.doubt.reason import Need, reason

_FAR_SD = 5.0  # further out than this a feature adds no more to the novelty


@reason(Need.STANDARD_SCORES)
def novelty(standard: np.ndarray) -> np.ndarray:
    """How far a window lies from what the champion was trained on: mean size of its standard scores, a share of 5.

    standard : (n, n_features), features less their training mean, over their training deviation
    (`ScoringModel.standardised`); missing ones are NaN and left out. Each counts up to 5 deviations, so that one
    broken feature does not drown the rest. Windows like those of the training lie near .15. NaN without any feature.

    >>> novelty(np.array([[1.0, -1.0], [5.0, 50.0]])).tolist()
    [0.2, 1.0]
    """
    size = np.minimum(np.abs(np.asarray(standard, np.float64)), _FAR_SD)
    there = ~np.isnan(size)
    count = there.sum(1)
    total = np.where(there, size, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1) / _FAR_SD, np.nan)
