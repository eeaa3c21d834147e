"""The acceleration of a chunk of windows, prepared once for all families that are computed from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activitymodule.windows.arithmetic import mean, sums_of_neighbours
from activitymodule.windows.grid import Grid


@dataclass(frozen=True)
class Motion:
    """A chunk's acceleration in m/s2, in the parts that families need.

    centred : (5, windows, slots): x, y, z, magnitude, each less its mean, and the vertical part of x, y, z
    horizontal : (windows, slots), size of the horizontal part
    mean : (4, windows) of x, y, z, magnitude; gravity : (3, windows), unit vector of the mean acceleration
    gravity_size : (windows,); sd : (4, windows) of x, y, z, magnitude
    squares : (4, windows, slots), squares of the first four of `centred`
    smooth : (5, windows, slots - rate + 1), `centred` averaged over 1 s
    """

    grid: Grid
    centred: np.ndarray
    horizontal: np.ndarray
    mean: np.ndarray
    gravity: np.ndarray
    gravity_size: np.ndarray
    sd: np.ndarray
    squares: np.ndarray
    smooth: np.ndarray


def motion(acceleration: np.ndarray, grid: Grid) -> Motion:
    """The parts of the acceleration of a chunk: ndarray of shape (3, windows, slots), m/s2."""
    _, windows, slots = acceleration.shape
    whole = np.empty((4, windows, slots), np.float32)
    whole[:3] = acceleration
    np.sqrt(np.einsum("awt,awt->wt", acceleration, acceleration), out=whole[3])
    # less the first value before the mean: a flat signal is then exactly zero, and float32 is enough
    origin = whole[:, :, :1].copy()
    centred = np.empty((5, windows, slots), np.float32)
    axes = np.subtract(whole, origin, out=centred[:4])
    shift = mean(axes)
    axes -= shift[:, :, None]
    means = origin[:, :, 0] + shift
    size = np.sqrt(means[0] ** 2 + means[1] ** 2 + means[2] ** 2)
    gravity = means[:3] / (size + np.float32(1e-9))
    vertical = np.einsum("awt,aw->wt", centred[:3], gravity)
    centred[4] = vertical
    horizontal = np.zeros((windows, slots), np.float32)
    for axis in range(3):
        across = centred[axis] - vertical * gravity[axis][:, None]
        across *= across
        horizontal += across
    squares = axes * axes
    return Motion(
        grid=grid,
        centred=centred,
        horizontal=np.sqrt(horizontal, out=horizontal),
        mean=means,
        gravity=gravity,
        gravity_size=size + np.float32(1e-9),
        sd=np.sqrt(mean(squares)),
        squares=squares,
        smooth=sums_of_neighbours(centred, grid.rate) * np.float32(1 / grid.rate),
    )
