"""Steps in a window."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.families.base import Described, family
from activitymodule.windows.grid import Grid

FEATURES = [
    Described("total", "steps", "steps in the window"),
    Described("per_minute", "steps/min", "steps by the time that the readings with steps cover"),
]


@family(sensor="steps", features=FEATURES, order=12)
def steps(taken: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """Steps are counted since the last reading, so they are added up. The readings with steps cover the time from
    the first to the last of them and one mean distance before it; one alone covers the window.
    """
    there = ~np.isnan(taken)
    count = np.count_nonzero(there, axis=1)
    first = np.argmax(there, axis=1)
    last = grid.slots - 1 - np.argmax(there[:, ::-1], axis=1)
    covered = np.where(count > 1, (last - first) / np.maximum(count - 1, 1) * count, grid.slots)
    total = np.add.reduce(np.where(there, taken, 0.0), axis=1, dtype=np.float64)
    total = np.where(count > 0, total, np.nan)
    return [total[None], (total / np.minimum(covered, grid.slots) * (60 * grid.rate))[None]]
