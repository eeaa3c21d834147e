"""The heart rate in a window."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.families.base import Described, family
from activitymodule.windows.grid import Grid

FEATURES = [
    Described("mean", "bpm", "mean heart rate"),
    Described("sd", "bpm", "its standard deviation"),
    Described("min", "bpm", "least heart rate"),
    Described("max", "bpm", "greatest heart rate"),
    Described("slope", "bpm/min", "slope of a straight line through it; needs two readings"),
]


@family(sensor="heart_rate", features=FEATURES, order=11)
def heart(rate: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """The heart rate, over the readings that have one; 0 or below is none (recordings of old have it)."""
    there = rate > 0
    count = np.add.reduce(there, axis=1, dtype=np.float64)
    values = np.where(there, rate, 0.0).astype(np.float64)
    time = np.where(there, np.arange(grid.slots) / (60.0 * grid.rate), 0.0)  # minutes
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduce(values, axis=1) / count
        away = np.where(there, values - mean[:, None], 0.0)
        time_away = np.where(there, time - (np.add.reduce(time, axis=1) / count)[:, None], 0.0)
        sd = np.sqrt(np.add.reduce(away * away, axis=1) / count)
        slope = np.add.reduce(away * time_away, axis=1) / np.add.reduce(time_away * time_away, axis=1)
    none = count == 0
    least = np.where(none, np.nan, np.min(np.where(there, rate, np.inf), axis=1))
    most = np.where(none, np.nan, np.max(np.where(there, rate, -np.inf), axis=1))
    return [mean[None], sd[None], least[None], most[None], np.where(count > 1, slope, np.nan)[None]]
