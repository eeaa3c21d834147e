"""Confusion matrix, accuracy, precision, recall and F1: the one definition of each for the whole project.

Counts may be weights, and may have leading axes (people, resamples): everything is computed along the last ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def f1(hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """F1 of labels: 2 hits / (predicted + actual), shapes (..., n_labels); NaN for a label that is in neither."""
    with np.errstate(invalid="ignore"):
        return 2 * hits / (predicted + actual)


def mean_f1(
    hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray, counted: np.ndarray | bool = True
) -> np.ndarray:
    """Macro-F1: mean F1 over the labels that are in the truth, shapes (..., n_labels) -> (...,).

    counted : bool (n_labels,), labels that may be part of the mean
    """
    there = (actual > 0) & counted
    scores = np.where(there, f1(hits, predicted, actual), 0.0)
    return scores.sum(-1) / np.maximum(there.sum(-1), 1)


def confusion(predicted: np.ndarray, truth: np.ndarray, n_labels: int) -> np.ndarray:
    """Counts of (truth, predicted) from label codes, int ndarray of shape (n_labels, n_labels)."""
    return np.bincount(truth * n_labels + predicted, minlength=n_labels * n_labels).reshape(
        n_labels, n_labels
    )


def f1_scores(counts: np.ndarray) -> np.ndarray:
    """F1 of each label of confusion matrices (..., n_labels, n_labels); NaN for a label in neither side."""
    return f1(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-2), counts.sum(-1))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Mean F1 over the labels that are in the truth; confusion matrices (..., n_labels, n_labels)."""
    return mean_f1(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-2), counts.sum(-1))


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Share of correct predictions of confusion matrices (..., n_labels, n_labels)."""
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))


@dataclass(frozen=True)
class LabelScores:
    """Precision, recall and F1 of one label over all windows, and how many windows it has in truth."""

    precision: float
    recall: float
    f1: float
    windows: int


def label_scores(counts: np.ndarray, labels: Sequence[str]) -> dict[str, LabelScores]:
    """Scores of each label of a confusion matrix (n_labels, n_labels); 0 where a score is not defined."""
    hits = np.diag(counts)
    with np.errstate(invalid="ignore"):
        precision, recall = hits / counts.sum(0), hits / counts.sum(1)
    scores = f1_scores(counts)
    return {
        label: LabelScores(
            precision=float(np.nan_to_num(precision[k])),
            recall=float(np.nan_to_num(recall[k])),
            f1=float(np.nan_to_num(scores[k])),
            windows=int(counts[k].sum()),
        )
        for k, label in enumerate(labels)
    }


@dataclass(frozen=True)
class LabelledConfusion:
    """A confusion matrix with its labels: counts int (n_labels, n_labels), rows are truths, columns predictions."""

    labels: tuple[str, ...]
    counts: np.ndarray


def truth_by_predicted(truth: np.ndarray, predicted: np.ndarray) -> LabelledConfusion:
    """The confusion matrix of two arrays of labels, shape (n,), over the labels that are in either, sorted."""
    labels = sorted(set(truth.tolist()) | set(predicted.tolist()))
    place = {label: k for k, label in enumerate(labels)}
    codes = [np.array([place[label] for label in side.tolist()], np.int64) for side in (predicted, truth)]
    return LabelledConfusion(
        tuple(str(label) for label in labels), confusion(codes[0], codes[1], len(labels))
    )
