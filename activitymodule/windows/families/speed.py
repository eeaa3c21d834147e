"""Ground speed in a window."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.families.base import Described, family
from activitymodule.windows.grid import Grid

FEATURES = [
    Described("mean", "m/s", "mean ground speed"),
    Described("max", "m/s", "greatest ground speed"),
]


@family(sensor="speed", features=FEATURES, order=13)
def speed(over_ground: np.ndarray, _grid: Grid) -> list[np.ndarray]:
    """Ground speed, where it is known; a negative value means unknown."""
    with np.errstate(invalid="ignore"):
        there = over_ground >= 0
        count = np.add.reduce(there, axis=1, dtype=np.float64)
        mean = np.add.reduce(np.where(there, over_ground, 0.0), axis=1, dtype=np.float64) / count
    most = np.max(np.where(there, over_ground, -np.inf), axis=1)
    return [mean[None], np.where(count > 0, most, np.nan)[None]]
