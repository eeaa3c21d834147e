"""Where a watch is: a fix every 5 minutes, held until the next, as recordings in the field have it.

Positions only have to look like ones: they are drawn about the wearer's mean, some kilometres wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activitymodule.synthesis.draws import normal, uniform

FIX_SECONDS = 300
HORIZONTAL_METRES = np.array([5, 8, 10, 15, 30, 65])
VERTICAL_METRES = np.array([3, 4, 6, 8, 10, 16])


@dataclass(frozen=True)
class Places:
    """Fixes of n (device, second); integers in units of the last decimal, every array of shape (n,)."""

    latitude: np.ndarray  # 1e-5 degrees from the mean
    longitude: np.ndarray  # 1e-5 degrees from the mean
    altitude: np.ndarray  # 0.1 m from the mean
    horizontal_accuracy: np.ndarray  # m
    vertical_accuracy: np.ndarray  # m


def places(seed: int, device: np.ndarray, second: np.ndarray) -> Places:
    """The fix in force at each (device, UTC second), int64 arrays of shape (n,)."""
    fix = np.floor_divide(second, FIX_SECONDS)
    hour = np.floor_divide(second, 3600)
    about = [normal(name, seed, device, hour) for name in ("north", "east", "up")]
    near = [normal(name, seed, device, fix) for name in ("near north", "near east", "near up")]
    sky = uniform("sky", seed, device, fix)
    return Places(
        np.rint(900 * about[0] + 60 * near[0]).astype(np.int32),
        np.rint(1200 * about[1] + 80 * near[1]).astype(np.int32),
        np.rint(120 * about[2] + 20 * near[2]).astype(np.int32),
        HORIZONTAL_METRES[(sky * len(HORIZONTAL_METRES)).astype(np.int64)].astype(np.int32),
        VERTICAL_METRES[(sky * len(VERTICAL_METRES)).astype(np.int64)].astype(np.int32),
    )
