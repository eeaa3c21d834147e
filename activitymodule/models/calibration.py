"""Calibration of probabilities: calibration error, reliability, and conformal sets.

All are functions of probabilities and truths; the caller holds people out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ECE_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Confidence and correctness by bins of equal width of the confidence; arrays of shape (n_bins,)."""

    confidence: np.ndarray
    accuracy: np.ndarray
    share: np.ndarray


def reliability(probabilities: np.ndarray, truth: np.ndarray, bins: int = ECE_BINS) -> Reliability:
    """Mean confidence and accuracy of each bin (NaN where it is empty), and its share of the windows.

    probabilities : (n_windows, n_labels); truth : int (n_windows,), the column of the true label
    """
    return reliability_of(probabilities.max(1), probabilities.argmax(1) == truth, bins)


def reliability_of(confidence: np.ndarray, right: np.ndarray, bins: int = ECE_BINS) -> Reliability:
    """The same of confidences (n_windows,) and of whether each prediction is right, bool (n_windows,)."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            confidence=np.bincount(place, confidence, bins) / count,
            accuracy=np.bincount(place, right, bins) / count,
            share=count / max(len(right), 1),
        )


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = ECE_BINS) -> float:
    """Mean distance of confidence and accuracy over bins of the confidence (Naeini et al. 2015, AAAI)."""
    return calibration_error(probabilities.max(1), probabilities.argmax(1) == truth, bins)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = ECE_BINS) -> float:
    """The same of confidences (n_windows,) and of whether each prediction is right, bool (n_windows,)."""
    bars = reliability_of(confidence, right, bins)
    return float(np.nansum(np.abs(bars.confidence - bars.accuracy) * bars.share))


def conformal_quantile(
    probabilities: np.ndarray, truth: np.ndarray, person: np.ndarray, alpha: float
) -> float:
    """The score 1 - p(true label) that a share 1 - alpha of held-out windows does not exceed.

    Split-conformal (Sadinle, Lei and Wasserman 2019, JASA 114) with whole people held out: each person weighs
    the same (Dunn, Wasserman and Ramdas 2023, JASA 118), for windows of one person are near-duplicates and the
    next window is of somebody new. Out-of-fold probabilities only: those of windows a model was trained on
    promise twice the coverage they keep.

    probabilities : (n_windows, n_labels); truth : int (n_windows,); person : (n_windows,)
    """
    score = 1.0 - probabilities[np.arange(len(truth)), truth]
    _, code, count = np.unique(person, return_inverse=True, return_counts=True)
    weight = 1.0 / (count[code] * len(count))
    order = np.argsort(score, kind="stable")
    reached = np.searchsorted(np.cumsum(weight[order]), 1.0 - alpha - 1e-12)
    return float(score[order][min(reached, len(score) - 1)])


def conformal_sets(probabilities: np.ndarray, quantile: float | np.ndarray) -> np.ndarray:
    """The labels of the conformal sets: bool ndarray of shape (n_windows, n_labels).

    quantile : of all windows, or of each (n_windows,). An empty set means that no label is probable enough.
    """
    least = 1.0 - np.asarray(quantile) - 1e-7
    return probabilities >= (least[:, None] if least.ndim else least)


WIDE_ALPHA = 0.025
"""The wide quantile is that at this share of `alpha`: sets of unfamiliar windows hold the truth of 99.75 % of held-out
windows where those of familiar ones hold 90 %."""
UNFAMILIAR = 0.05
"""A window of a lower familiarity (models/familiarity) is called unfamiliar."""
_WIDENED_FROM = 0.5


def widened(quantile: float, wide: float, familiarity: np.ndarray) -> np.ndarray:
    """The conformal quantile of each window, float64 (n_windows,): `quantile` where its familiarity is .5 or more,
    `wide` at .05 and below, and between them in proportion to the logarithm of 1 - quantile.

    Chosen on held-out people of WISDM: the narrowest with which the sets hold the truth of 85 % of the windows of each
    of 16 simulated watches (other axes, tempo, size, noise). familiarity : (n_windows,); NaN counts as familiar.
    """
    share = np.clip((_WIDENED_FROM - familiarity) / (_WIDENED_FROM - UNFAMILIAR), 0, 1)
    share = np.nan_to_num(share.astype(np.float64))
    narrow, least = max(1.0 - quantile, 1e-9), max(1.0 - wide, 1e-9)
    return np.asarray(1.0 - narrow ** (1 - share) * least**share)
