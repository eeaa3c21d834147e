"""No doubt at all: a draw, for comparison with the reasons, and while labels are few."""

from __future__ import annotations

import numpy as np

from activitymodule.learning.doubt.reason import Need, reason


@reason(Need.DRAW)
def random(drawn: np.ndarray) -> np.ndarray:
    """A uniform draw from [0, 1) that belongs to the window (`draws.draws`), float64 (n,).

    >>> random(np.array([0.25])).tolist()
    [0.25]
    """
    return np.asarray(drawn, float)
