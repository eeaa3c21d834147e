"""Share of the windows that lack a feature, against the share in training."""

from __future__ import annotations

import numpy as np

from activitymodule.monitoring.measures.registry import FeatureMeasure, FeatureValues, Thresholds, register
from activitymodule.monitoring.observation import Observation


def compute(seen: Observation, thresholds: Thresholds) -> FeatureValues:
    """Exceeded where the share has grown by more than the configured share of all windows."""
    threshold = 1 - seen.share_expected + thresholds["missing"]
    exceeded = seen.monitored & (seen.missing > threshold)
    return FeatureValues(seen.missing, threshold, exceeded, np.where(exceeded, np.inf, 0.0))


MISSING = register(
    FeatureMeasure(
        name="missing",
        title="Missing feature",
        heading="missing",
        unit="share of windows",
        threshold=0.5,
        compute=compute,
        order=30,
    )
)
