"""Exchanged axes: features of the exchanged window are those of the window, in other places."""

from __future__ import annotations

import numpy as np

from activitymodule.settings import Windows
from activitymodule.windows import assembling
from activitymodule.windows.catalogue import FEATURE_NAMES, FEATURES, MOTION_FAMILIES
from activitymodule.windows.exchange import exchange_of, exchanged
from activitymodule.windows.features import features
from activitymodule.windows.packing import CHANNELS

WINDOWS = Windows()


def features_of(grid: np.ndarray) -> np.ndarray:
    n = len(grid)
    zeros = np.zeros(n, np.int32)
    batch = assembling.WindowBatch(grid, np.ones(n, np.float32), zeros, zeros, np.zeros(n, np.int64))
    return features(batch, WINDOWS)


def test_every_feature_is_that_of_the_exchanged_window() -> None:
    dice = np.random.default_rng(0)
    slots = WINDOWS.length_seconds * WINDOWS.rate_hz
    grid = dice.normal(scale=0.2, size=(20, slots, len(CHANNELS))).astype(np.float32)
    grid[:, :, :3] += dice.normal(size=(20, 1, 3)) * [1, 0.6, 0.3]
    grid[:, :, 6] = 80
    other = grid.copy()
    other[:, :, [0, 1, 3, 4]] = grid[:, :, [1, 0, 4, 3]]
    places = exchange_of(FEATURE_NAMES)
    assert places is not None
    found, expected = exchanged(features_of(grid), places), features_of(other)
    assert found.shape == expected.shape
    # the eigenvalues of a matrix whose rows change places are rounded otherwise
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    assert np.abs(features_of(grid) - expected).max() > 1
    np.testing.assert_allclose(exchanged(found, places), features_of(grid), rtol=2e-3, atol=2e-3)


def test_features_of_the_acceleration_are_enough_and_fewer_are_not() -> None:
    motion = [feature.name for feature in FEATURES if feature.family in MOTION_FAMILIES]
    places = exchange_of(motion)
    assert places is not None
    assert len(places) == len(motion) + 2
    assert exchange_of(motion[1:]) is None
    assert exchange_of([name for name in motion if not name.startswith("direction")]) is None
