"""Population stability index: the distribution of a feature over its bins against the expected one."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincinv

from activitymodule.models.baseline import BINS
from activitymodule.monitoring.measures.registry import FeatureMeasure, FeatureValues, Thresholds, register
from activitymodule.monitoring.observation import CHANCE, Observation

_LEAST_SHARE = 1e-3  # of a bin: an empty one would make the index infinite


def compute(seen: Observation, thresholds: Thresholds) -> FeatureValues:
    """The threshold is at least what chance reaches with so few people: without drift the index is near chi-squared
    of the effective numbers of windows (Yurdakul 2018)."""
    now, expected = np.maximum(seen.bins, _LEAST_SHARE), np.maximum(seen.expected_bins, _LEAST_SHARE)
    psi = np.where(seen.comparable, ((now - expected) * np.log(now / expected)).sum(1), 0.0)
    windows_now, windows_then = seen.effective_windows()
    chance = 2 * gammaincinv((BINS - 1) / 2, 1 - CHANCE) * (1 / windows_now + 1 / windows_then)
    threshold = np.maximum(thresholds["psi"], chance)
    return FeatureValues(psi, threshold, psi > threshold, psi / threshold)


PSI = register(
    FeatureMeasure(
        name="psi",
        title="Distribution of a feature",
        heading="PSI",
        unit="",
        threshold=0.25,
        compute=compute,
        order=20,
    )
)
