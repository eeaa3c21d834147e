"""Doubt by the entropy of the probabilities."""

from __future__ import annotations

import numpy as np

from activitymodule.learning.doubt.reason import Need, reason

_TINY = 1e-12


@reason(Need.PROBABILITIES)
def entropy(probabilities: np.ndarray) -> np.ndarray:
    """How evenly the probability is spread over all labels: Shannon's entropy over its greatest value.

    probabilities : (n, n_labels); returns float64 (n,), 0 to 1.

    >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]])).round(2).tolist()
    [0.0, 1.0]
    """
    p = np.asarray(probabilities, np.float64)
    return -(p * np.log(np.maximum(p, _TINY))).sum(1) / np.log(max(p.shape[1], 2)) + 0.0
