"""Doubt by the distance from the training data."""

from __future__ import annotations

import numpy as np

from activitymodule.learning.doubt.reason import Need, reason


@reason(Need.FAMILIARITY)
def novelty(familiarity: np.ndarray) -> np.ndarray:
    """How far a window lies from what the champion was trained on: 1 less its familiarity.

    familiarity : (n,), 0 to 1 (models/familiarity); NaN where the champion cannot tell.

    >>> novelty(np.array([1.0, 0.25])).tolist()
    [0.0, 0.75]
    """
    return 1 - np.asarray(familiarity, np.float64)
