"""Copying: whether synthetic windows lie nearer to real ones than real ones of another minute do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.neighbors import NearestNeighbors

from activitymodule.statistics.fidelity.windows import WINDOW, cut, describe
from activitymodule.statistics.recordings import Recording


@dataclass(frozen=True)
class Copying:
    """Distances to the nearest real window, as ratios synthetic / real, where real is one minute of a recording
    against the other minute and all other people: 1 is alike, well under 1 would be copying.

    features_*: in standardised descriptive features, over windows of all people. signal_*: root mean square
    distance of the bare signals at every offset, same person and activity. nearest: ratio of the 1 % quantiles
    (the closest windows), median: ratio of the medians.
    """

    features_median: float
    features_nearest: float
    signal_median: float
    signal_nearest: float


def halves(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """First and second half of each recording."""
    middle = [len(r.acceleration) // 2 for r in recordings]
    return (
        [replace(r, acceleration=r.acceleration[:m]) for r, m in zip(recordings, middle, strict=True)],
        [replace(r, acceleration=r.acceleration[m:]) for r, m in zip(recordings, middle, strict=True)],
    )


def copying(real: Sequence[Recording], synthetic: Sequence[Recording]) -> Copying:
    """Whether synthetic windows are copies of real ones.

    `real` are the people the statistics come from. Each recording is halved: the reference is how near windows
    of either half lie to the other half; synthetic windows are compared with the same two halves, one at a
    time, so that there are equally many candidates.
    """
    first, second = halves(real)
    return Copying(
        *_ratios(*_feature_distances(first, second, synthetic)),
        *_ratios(*_signal_distances(first, second, synthetic)),
    )


def _ratios(synthetic: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Ratio of the medians and of the 1 % quantiles; NaN where there is nothing to compare."""
    if not len(real):
        return float("nan"), float("nan")
    return (
        float(np.median(synthetic) / np.median(real)),
        float(np.quantile(synthetic, 0.01) / max(np.quantile(real, 0.01), 1e-9)),
    )


def _feature_distances(
    first: Sequence[Recording], second: Sequence[Recording], synthetic: Sequence[Recording]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances in standardised features to the nearest window of either half: synthetic windows, real ones."""
    described = [describe(cut(part).values)[0].astype(np.float64) for part in (first, second, synthetic)]
    centre, scale = described[0].mean(0), described[0].std(0) + 1e-9
    fa, fb, fs = ((f - centre) / scale for f in described)
    return (
        np.concatenate([_nearest(fs, fa), _nearest(fs, fb)]),
        np.concatenate([_nearest(fb, fa), _nearest(fa, fb)]),
    )


def _nearest(points: np.ndarray, among: np.ndarray) -> np.ndarray:
    return np.asarray(NearestNeighbors(n_neighbors=1).fit(among).kneighbors(points)[0][:, 0])


def _signal_distances(
    first: Sequence[Recording], second: Sequence[Recording], synthetic: Sequence[Recording]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of signals (g) to either half of the same person and activity: synthetic windows, real ones."""
    near_real, near_synthetic = [np.empty(0)], [np.empty(0)]
    synthetic_of = {(r.person, r.activity): r for r in synthetic}
    for one, other in zip(first, second, strict=True):
        match = synthetic_of.get((one.person, one.activity))
        if match is None or min(len(one.acceleration), len(match.acceleration)) < 2 * WINDOW:
            continue
        for here, there in ((one, other), (other, one)):
            if len(here.acceleration) >= WINDOW:
                series = np.asarray(here.acceleration, float)
                near_real.append(_to_series(cut([there]).values.astype(float), series))
                near_synthetic.append(_to_series(cut([match]).values.astype(float), series))
    return np.concatenate(near_synthetic), np.concatenate(near_real)


def _to_series(windows: np.ndarray, series: np.ndarray) -> np.ndarray:
    """Least root mean square distance (g) of each window (n, 100, 3) to a series (m, 3), over all offsets."""
    slices = np.lib.stride_tricks.sliding_window_view(series, WINDOW, axis=0)  # (m - 99, 3, 100)
    slices = np.swapaxes(slices, 1, 2).reshape(len(slices), -1)
    flat = windows.reshape(len(windows), -1)
    square = (flat**2).sum(1)[:, None] + (slices**2).sum(1)[None] - 2 * flat @ slices.T
    return np.asarray(np.sqrt(np.maximum(square.min(axis=1), 0) / flat.shape[1]))
