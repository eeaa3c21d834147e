"""Distances of distributions: the marginals of each axis and the autocorrelation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import ks_2samp

from activitymodule.errors import DataError
from activitymodule.statistics.recordings import Recording

_LAGS = 30


def _pooled(recordings: Sequence[Recording], activity: str) -> np.ndarray:
    return np.concatenate([r.acceleration for r in recordings if r.activity == activity])


def shared_activities(a: Sequence[Recording], b: Sequence[Recording]) -> list[str]:
    """Activities that both have. Raises DataError where there are none."""
    shared = sorted({r.activity for r in a} & {r.activity for r in b})
    if not shared:
        raise DataError("the two data sets have no activity in common")
    return shared


def marginal_distance(real: Sequence[Recording], synthetic: Sequence[Recording]) -> dict[str, float]:
    """Kolmogorov-Smirnov distance of each activity: people pooled, mean of the three axes."""
    distance = {}
    for name in shared_activities(real, synthetic):
        a, b = _pooled(real, name), _pooled(synthetic, name)
        distance[name] = float(np.mean([ks_2samp(a[:, c], b[:, c]).statistic for c in range(3)]))
    return distance


def autocorrelation(x: np.ndarray, lags: int = _LAGS) -> np.ndarray:
    """(lags, 3) autocorrelation of x (n, 3) at lags of 1 .. `lags` samples."""
    c = np.asarray(x, float) - np.mean(x, axis=0, dtype=float)
    n = len(c)
    r = np.stack([(c[: n - lag] * c[lag:]).sum(axis=0) for lag in range(lags + 1)])
    return np.asarray(r[1:] / (r[0] + 1e-12))


def autocorrelation_error(
    real: Sequence[Recording], synthetic: Sequence[Recording]
) -> tuple[dict[str, float], bool]:
    """Mean absolute error of the autocorrelation up to 3 s, by activity, and whether it is person by person.

    Where both data sets hold the same people: the mean over people of their own error. Else the error of the
    mean autocorrelation over people.
    """
    errors = {}
    matched = {(r.person, r.activity) for r in real} & {(r.person, r.activity) for r in synthetic}
    for name in shared_activities(real, synthetic):
        a = {r.person: autocorrelation(r.acceleration) for r in real if r.activity == name}
        b = {r.person: autocorrelation(r.acceleration) for r in synthetic if r.activity == name}
        if matched:
            both = sorted(a.keys() & b.keys())
            if both:
                errors[name] = float(np.mean([np.abs(a[p] - b[p]).mean() for p in both]))
        else:
            difference = np.mean(list(a.values()), axis=0) - np.mean(list(b.values()), axis=0)
            errors[name] = float(np.abs(difference).mean())
    return errors, bool(matched)
