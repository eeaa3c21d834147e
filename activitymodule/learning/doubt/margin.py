"""Doubt by the distance of the two most probable labels."""

from __future__ import annotations

import numpy as np

from activitymodule.learning.doubt.reason import Need, reason


@reason(Need.PROBABILITIES)
def margin(probabilities: np.ndarray) -> np.ndarray:
    """How close the two most probable labels are: 1 - (p1 - p2) (Scheffer, Decomain and Wrobel 2001, IDA).

    probabilities : (n, n_labels), at least two labels; returns float64 (n,), 1 where both are equal.

    >>> margin(np.array([[0.9, 0.1, 0.0], [0.4, 0.4, 0.2]])).round(2).tolist()
    [0.2, 1.0]
    """
    two = np.partition(np.asarray(probabilities, np.float64), -2, axis=1)[:, -2:]
    return 1.0 - (two[:, 1] - two[:, 0])
