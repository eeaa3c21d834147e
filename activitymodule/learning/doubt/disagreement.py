"""Doubt by the contradiction of a window and the windows before it."""

from __future__ import annotations

import numpy as np

from activitymodule.learning.doubt.reason import Need, reason


@reason(Need.PROBABILITIES, Need.PAST)
def disagreement(probabilities: np.ndarray, past: np.ndarray) -> np.ndarray:
    """How much a window contradicts the smoothed past of its watch: total variation distance of the two beliefs.

    probabilities : (n, n_labels), of the window alone; past : (n, n_labels), what the windows before it, filtered
    (models/smoothing), say of it; a row of NaN where nothing is known. Returns float64 (n,), 0 to 1, or NaN.

    >>> disagreement(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.9, 0.1], [0.2, 0.8]])).round(2).tolist()
    [0.1, 0.8]
    """
    return 0.5 * np.abs(np.asarray(probabilities, np.float64) - past).sum(1)
