"""Whether drift monitoring can tell: windows as the baseline expects them, and the same with a shift that was planted.

No window is needed: the counts that the stream would have written are made from the baseline itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from activitymodule.errors import NotEnoughDataError
from activitymodule.models.baseline import CONFIDENCES, Baseline, Totals
from activitymodule.monitoring.report import compare, recommendation
from activitymodule.settings import Monitoring

WINDOWS, WATCHES = 6000, 50
_SHIFT = 4.0  # standard deviations of the feature
_SHARE = 1 / 3  # of the features that are monitored


def expected_totals(baseline: Baseline, windows: int = WINDOWS) -> Totals:
    """The counts of windows that are distributed as the baseline says."""
    activities = np.rint(baseline.class_rates * windows).astype(np.int64)
    counts = np.rint(baseline.share_there * windows).astype(np.int64)
    means, shares, confidence = baseline.expected(activities)
    confidences = np.zeros(CONFIDENCES, np.int64)
    confidences[:] = np.rint(baseline.confidences * windows)
    return Totals(
        windows=windows,
        counts=counts,
        sums=means * counts,
        squares=(np.square(means) + 1) * counts,
        histogram=np.rint(shares * counts[:, None]).astype(np.int64),
        activities=activities,
        confidence_sum=confidence * windows,
        confidences=confidences,
    )


def shifted(totals: Totals, baseline: Baseline) -> tuple[Totals, np.ndarray]:
    """The same with every third monitored feature moved up by 4 standard deviations, and which these are."""
    moved = np.flatnonzero(baseline.monitored & (totals.counts > 0))[:: round(1 / _SHARE)]
    sums, histogram = totals.sums.copy(), totals.histogram.copy()
    sums[moved] += _SHIFT * totals.counts[moved]
    histogram[moved] = 0
    histogram[moved, -1] = totals.counts[moved]
    return replace(totals, sums=sums, histogram=histogram), moved


def find_planted_shift(baseline: Baseline, config: Monitoring) -> tuple[int, int]:
    """How many features were moved, and how many of them are found to have drifted.

    Raises NotEnoughDataError where windows as expected count as drift, or where the planted one is not found.
    """
    totals = expected_totals(baseline)
    quiet = compare(baseline, totals, WATCHES, config)
    if recommendation(quiet)[0]:
        raise NotEnoughDataError("windows that are as the baseline expects count as drift")
    planted, moved = shifted(totals, baseline)
    found = compare(baseline, planted, WATCHES, config)
    drifted = {one.name for one in found.features if one.over}
    hits = sum(baseline.feature_names[place] in drifted for place in moved.tolist())
    if not recommendation(found)[0] or hits < len(moved):
        raise NotEnoughDataError(
            f"of {len(moved)} features that were moved by {_SHIFT:g} standard deviations {hits} are found"
        )
    return len(moved), hits
