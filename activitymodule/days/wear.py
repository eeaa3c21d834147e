"""Wear time: which windows of a watch were recorded on a wrist.

A window is still where the acceleration of every axis has a standard deviation below 13 mg. Still windows that span an
hour or more, with no other window between them, are non-wear: the criterion of the UK Biobank (Doherty et al. 2017,
PLoS ONE 12(2) e0169649, after van Hees et al. 2011, PLoS ONE 6(7) e22922). A window without a reading is not worn
either. A window whose acceleration is unknown counts as worn: nothing speaks against it.

Limits: the criterion was made for 100 Hz; at 10 Hz there is less noise, so deep sleep may be called non-wear. A watch
carried in a bag moves, and is called worn.
"""

from __future__ import annotations

import numpy as np

STILL_G = 0.013
NON_WEAR_US = 3_600_000_000


def worn(start_us: np.ndarray, end_us: np.ndarray, spread_g: np.ndarray) -> np.ndarray:
    """Which windows of one watch are worn: bool ndarray of shape (n,).

    start_us, end_us : int64 (n,), in the order of time; spread_g : (n,), the greatest standard deviation of an axis,
    NaN where unknown. Missing time between still windows does not end an episode.
    """
    with np.errstate(invalid="ignore"):
        still = np.asarray(spread_g, np.float64) < STILL_G
    if not still.any():
        return np.ones(len(still), bool)
    first = np.flatnonzero(still & ~np.concatenate([[False], still[:-1]]))
    last = np.flatnonzero(still & ~np.concatenate([still[1:], [False]]))
    long = end_us[last] - start_us[first] >= NON_WEAR_US
    episode = np.cumsum(still & ~np.concatenate([[False], still[:-1]])) - 1
    return np.asarray(~(still & long[np.maximum(episode, 0)]))
