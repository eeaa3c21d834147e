"""Spreading labels: from a labelled window to the windows around it, up to a change point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from activitymodule.learning.gold import EMBARGO_SECONDS, GoldWindows, distance_us
from activitymodule.learning.strata import AUDIT
from activitymodule.models.activity import feature_names
from activitymodule.models.dataset import TrainingWindows
from activitymodule.windows.catalogue import FEATURE_NAMES

CHANGE_QUANTILE = 0.95  # of the steps within one activity: a larger one is a change point

_MOTION = np.array([FEATURE_NAMES.index(name) for name in feature_names()])


@dataclass(frozen=True)
class Spreading:
    """How labels are spread: to so many windows on each side, at a share (`weight`) of the label's own weight.

    neighbours : by (device_id, window_us) of a label, the windows around it; slide_us : from one window to the next
    """

    neighbours: Mapping[tuple[str, int], Neighbours]
    windows: int
    weight: float
    slide_us: int


@dataclass(frozen=True)
class Neighbours:
    """Windows around a labelled one, of the same watch, in order of time; without the labelled one itself.

    window_us : int64 (n,); features : float32 (n, len(FEATURE_NAMES)); whole : bool (n,), whether there are
    enough readings in it
    """

    window_us: np.ndarray
    features: np.ndarray
    whole: np.ndarray


def spread_labels(
    base: TrainingWindows, teaching: GoldWindows, others: GoldWindows, weight: np.ndarray, how: Spreading
) -> tuple[GoldWindows, np.ndarray]:
    """The windows that labels reach, with the labels, and their weights.

    teaching : labelled windows that may be learnt from, with `weight`; others : further windows with a label of their
    own, those of the audit share among them
    """
    base = base.originals()
    bar, scale = change_bar(base), feature_scale(base)
    rows, parts, labelled = [], [], teaching + others
    for k in range(len(teaching)):
        device_id, window_us = str(teaching.device_id[k]), int(teaching.window_us[k])
        around = how.neighbours.get((device_id, window_us))
        if around is None:
            continue
        near = reached(around, teaching.features[k], window_us, how.windows, how.slide_us, scale, bar)
        near = near[~_claimed(device_id, around.window_us[near], labelled)]
        rows += [k] * len(near)
        parts.append((around.window_us[near], around.features[near]))
    if not rows:
        return GoldWindows.none(), np.empty(0)
    own = teaching.take(np.array(rows))
    spread = replace(
        own,
        window_us=np.concatenate([window_us for window_us, _ in parts]),
        features=np.concatenate([features for _, features in parts]),
    )
    return spread, how.weight * weight[rows]


@dataclass(frozen=True)
class Scale:
    """Centre and spread of the features a change is looked for in; (n_motion_features,)."""

    centre: np.ndarray
    spread: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Standard scores, clipped at 3, what is missing as the centre."""
        scores = (features[..., _MOTION].astype(np.float64) - self.centre) / self.spread
        return np.nan_to_num(np.clip(scores, -3, 3))


def feature_scale(base: TrainingWindows) -> Scale:
    """Mean and standard deviation of the motion features, NaN left out."""
    X = base.features[:, _MOTION].astype(np.float64)
    there = ~np.isnan(X).all(0)
    centre, spread = np.zeros(X.shape[1]), np.ones(X.shape[1])
    centre[there] = np.nanmean(X[:, there], 0)
    spread[there] = np.nanstd(X[:, there], 0)
    return Scale(centre, np.where(spread > 1e-12, spread, 1.0))


def step(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far windows are apart: root mean square over standard scores; (..., n_features) each."""
    return np.sqrt(np.square(one - other).mean(-1))


def change_bar(base: TrainingWindows) -> float:
    """The step between neighbouring windows that is a change point: CHANGE_QUANTILE of the steps within one run
    of one activity; infinite where the base has no such neighbours."""
    scores = feature_scale(base)(base.features)
    same = base.run[1:] == base.run[:-1]
    if not same.any():
        return float("inf")
    return float(np.quantile(step(scores[1:], scores[:-1])[same], CHANGE_QUANTILE))


def reached(
    around: Neighbours,
    features: np.ndarray,
    window_us: int,
    most: int,
    slide_us: int,
    scale: Scale,
    bar: float,
) -> np.ndarray:
    """Rows of `around` that the label of a window reaches: up to `most` to each side, without a gap, as long as
    the step from one window to the next stays below the bar."""
    rows: list[int] = []
    place = {int(us): k for k, us in enumerate(around.window_us)}
    scores = scale(around.features)
    for direction in (-1, 1):
        before = scale(features)
        for k in range(1, most + 1):
            row = place.get(window_us + direction * k * slide_us)
            if row is None or not around.whole[row] or step(scores[row], before) > bar:
                break
            before = scores[row]
            rows.append(row)
    return np.array(sorted(rows), np.int64)


def _claimed(device_id: str, window_us: np.ndarray, labelled: GoldWindows) -> np.ndarray:
    """Windows that a label must not be spread to: those with a label of their own, those beside an audit window."""
    same = labelled.device_id == device_id
    own = np.isin(window_us, labelled.window_us[same])
    judged = np.sort(labelled.window_us[same & (labelled.stratum == AUDIT)])
    if len(judged) and len(window_us):
        own |= distance_us(window_us, judged) <= EMBARGO_SECONDS * 1_000_000
    return own
