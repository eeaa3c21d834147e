"""Mean of a feature against the expected mean, in standard errors over people."""

from __future__ import annotations

import numpy as np

from activitymodule.monitoring.measures.registry import FeatureMeasure, FeatureValues, Thresholds, register
from activitymodule.monitoring.observation import Observation

_LEAST_PERSON_SD = 0.1  # in standard deviations of the feature; no mean is known more precisely than that


def compute(seen: Observation, thresholds: Thresholds) -> FeatureValues:
    """The standard error is the spread between people that remains within an activity, by the number of watches and
    of people in the baseline."""
    error = np.maximum(seen.baseline.person_sd, _LEAST_PERSON_SD) * seen.cluster_factor
    z = np.where(seen.comparable, (seen.mean - seen.expected_mean) / error, 0.0)
    threshold = np.full(z.shape, thresholds["z_score"])
    return FeatureValues(z, threshold, np.abs(z) > threshold, np.abs(z) / threshold)


Z_SCORE = register(
    FeatureMeasure(
        name="z_score",
        title="Mean of a feature",
        heading="z-score",
        unit="standard errors",
        threshold=6.0,
        compute=compute,
        order=10,
    )
)
