"""How much and how rhythmically the watch rotates."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.arithmetic import TINY, mean, product
from activitymodule.windows.families.base import AXES, ROTATION, Described, each, family
from activitymodule.windows.grid import Grid
from activitymodule.windows.spectra import power, spectra_of

FEATURES = [
    *each(AXES, "log_sd", "ln rad/s", "logarithm of the standard deviation of the rotation rate about {}"),
    Described("size_mean", "rad/s", "mean size of the rotation rate"),
    Described("size_log_sd", "ln rad/s", "logarithm of the standard deviation of its size"),
    Described("size_median", "rad/s", "median size of the rotation rate"),
    Described("size_max", "rad/s", "greatest size of the rotation rate"),
    Described("dominant", "Hz", "frequency with the most power, axes added up, from .3 Hz on"),
    Described("dominant_share", "", "share of the power at it"),
    Described("entropy", "", "spectral entropy, axes added up"),
    Described("centroid", "Hz", "mean frequency, weighted by power, axes added up"),
]


@family(sensor=ROTATION, features=FEATURES, order=10)
def rotation(rates: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """How much and how rhythmically the watch rotates, where it sends the rotation rate."""
    made = spectra_of(grid)
    squares = rates * rates
    size = np.sqrt(squares[0] + squares[1] + squares[2])
    away = rates - mean(rates)[..., None]
    mean_size = mean(size)
    size_away = size - mean_size[:, None]
    ordered = np.sort(size, axis=-1)
    densities = power(away * made.hann, grid.slots)
    densities[..., 0] = 0
    densities = densities[0] + densities[1] + densities[2]
    sums = product(densities, made.band_weights)
    total = sums[:, -2] + np.float32(1e-9)
    share = densities * (1 / total)[:, None]
    peak = np.argmax(densities[:, made.first_dominant :], axis=1) + made.first_dominant
    entropy = np.einsum("wf,wf->w", share, np.log(share + np.float32(1e-12))) / -np.log(densities.shape[1])
    return [
        np.log(np.sqrt(mean(away * away)) + TINY),
        mean_size[None],
        np.log(np.sqrt(mean(size_away * size_away)) + TINY)[None],
        ordered[:, [grid.slots // 2, grid.slots - 1]].T,
        made.frequencies[peak][None],
        share[np.arange(len(peak)), peak][None],
        entropy[None],
        (sums[:, -1] / total)[None],
    ]
