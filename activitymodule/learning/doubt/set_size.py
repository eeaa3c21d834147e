"""Doubt by the size of the conformal set."""

from __future__ import annotations

import numpy as np

from activitymodule.learning.doubt.reason import Need, reason


@reason(Need.CONFORMAL_SET)
def set_size(in_set: np.ndarray) -> np.ndarray:
    """How many labels the conformal set holds besides one, as a share; 1 also where it is empty: nothing fits.

    in_set : bool (n, n_labels); returns float64 (n,), 0 to 1.

    >>> set_size(np.array([[True, False, False], [True, True, False], [False, False, False]])).tolist()
    [0.0, 0.5, 1.0]
    """
    size = np.asarray(in_set, bool).sum(1)
    return np.where(size == 0, 1.0, (size - 1) / max(in_set.shape[1] - 1, 1))
