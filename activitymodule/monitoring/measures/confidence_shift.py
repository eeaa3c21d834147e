"""Mean confidence of the champion against that of held-out predictions for the same activities."""

from __future__ import annotations

from activitymodule.monitoring.measures.registry import OverallMeasure, OverallValue, Thresholds, register
from activitymodule.monitoring.observation import Observation


def compute(seen: Observation, thresholds: Thresholds) -> OverallValue:
    """The threshold is at least `z_score` standard errors over people."""
    spread = thresholds["z_score"] * seen.baseline.confidence_person_sd * seen.cluster_factor
    threshold = max(thresholds["confidence_shift"], spread)
    now, expected = seen.confidence, seen.expected_confidence
    shift = float(now - expected)
    return OverallValue(
        shift,
        threshold,
        abs(shift) > threshold,
        f"{now:.0%} on average, {expected:.0%} expected",
        f"the champion is {'less' if shift < 0 else 'more'} confident than with held-out people ({now:.0%} on "
        f"average, {expected:.0%} expected)",
    )


CONFIDENCE_SHIFT = register(
    OverallMeasure(
        name="confidence_shift",
        title="Mean confidence",
        unit="difference of probabilities",
        threshold=0.1,
        compute=compute,
        recommends_retraining=True,
        order=50,
    )
)
