"""Share of the features that exceed a threshold of their own."""

from __future__ import annotations

import numpy as np

from activitymodule.monitoring.measures.registry import OverallMeasure, OverallValue, Thresholds, register
from activitymodule.monitoring.observation import Observation
from activitymodule.windows.catalogue import FEATURES


def compute(seen: Observation, thresholds: Thresholds) -> OverallValue:
    """Exceeded from the threshold on."""
    count, monitored = int(seen.drifted.sum()), int(seen.monitored.sum())
    share = count / max(monitored, 1)
    threshold = thresholds["features_share"]
    explanation = f"{count} of {monitored} features ({share:.0%}) differ from the champion's training data"
    if count:
        explanation += f", most of all {_furthest(seen)}"
    return OverallValue(share, threshold, share >= threshold, f"{count} of {monitored} features", explanation)


def _furthest(seen: Observation) -> str:
    """The feature furthest from the baseline, with its mean of now and the expected one."""
    place = int(np.argmax(np.where(seen.monitored, seen.distance, -1)))
    feature = FEATURES[place]
    unit = f" {feature.unit}" if feature.unit else ""
    now = f"mean {seen.in_unit(place, seen.mean[place]):.3g}{unit}" if seen.comparable[place] else "missing"
    return f"{feature.name} ({now}, expected {seen.in_unit(place, seen.expected_mean[place]):.3g}{unit})"


FEATURES_SHARE = register(
    OverallMeasure(
        name="features_share",
        title="Features that drifted",
        unit="share of features",
        threshold=0.1,
        compute=compute,
        recommends_retraining=True,
        number_format=".0%",
        order=40,
    )
)
