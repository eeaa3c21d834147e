"""Doubt by the probability of the predicted label."""

from __future__ import annotations

import numpy as np

from activitymodule.learning.doubt.reason import Need, reason


@reason(Need.PROBABILITIES)
def least_confidence(probabilities: np.ndarray) -> np.ndarray:
    """How little the most probable label gets: 1 - p1 (Lewis and Gale 1994, SIGIR).

    probabilities : (n, n_labels); returns float64 (n,), 0 for a sure window.

    >>> least_confidence(np.array([[0.9, 0.1], [0.5, 0.5]])).round(2).tolist()
    [0.1, 0.5]
    """
    return 1.0 - np.asarray(probabilities, np.float64).max(1)
