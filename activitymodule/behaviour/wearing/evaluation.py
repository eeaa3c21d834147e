"""Figures of wear retention models: areas under curves, and precision and recall at a threshold chosen beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from activitymodule.behaviour.intervals import Figure, by_weight, over_people
from activitymodule.behaviour.wearing.leakage import Dropped
from activitymodule.behaviour.wearing.samples import Samples
from activitymodule.behaviour.wearing.splits import Split

TARGET_PRECISION = 0.5

Family = Literal["lightgbm", "mllib-logistic"]


@dataclass(frozen=True)
class Threshold:
    """The least probability that counts as a warning. target : precision it was chosen for; reached : the precision on
    the validation part, which is below the target where no threshold has it"""

    value: float
    target: float
    reached: float


@dataclass(frozen=True)
class WearReport:
    """Figures of one model on the test part, with 95 % intervals over people.

    data : 'synthetic' or 'recorded'; split : how the parts were made; figures : roc_auc, pr_auc, precision and recall;
    stop_rate : share of the test samples that stop, which a PR-AUC of no skill equals
    """

    family: Family
    data: str
    split: str
    split_by: str
    train: int
    validation: int
    test: int
    people: int
    stop_rate: float
    columns: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    threshold: Threshold
    figures: dict[str, Figure]


def chosen_threshold(
    stops: np.ndarray, probability: np.ndarray, target: float = TARGET_PRECISION
) -> Threshold:
    """The lowest threshold whose precision is the target or more, from there on upwards in recall; where none has
    it, that of the highest precision."""
    precision, recall, thresholds = precision_recall_curve(stops, probability)
    precision, recall = precision[:-1], recall[:-1]
    enough = np.flatnonzero(precision >= target)
    best = enough[np.argmax(recall[enough])] if len(enough) else int(np.argmax(precision))
    return Threshold(float(thresholds[best]), target, float(precision[best]))


def report_of(
    family: Family,
    samples: Samples,
    split: Split,
    probability: np.ndarray,
    columns: tuple[str, ...],
    dropped: tuple[Dropped, ...],
    target: float = TARGET_PRECISION,
    *,
    resamples: int = 200,
) -> WearReport:
    """The report of probabilities (n,) of all samples, by a model that learnt from the training part alone."""
    validation, test = split.validation, split.test
    threshold = chosen_threshold(samples.stops[validation], probability[validation], target)
    stops, score, person = samples.stops[test], probability[test], samples.person[test]
    warned = score >= threshold.value
    _, place = np.unique(person, return_inverse=True)
    counts = np.stack([np.bincount(place, flag.astype(float)) for flag in (warned & stops, warned, stops)], 1)
    figures = {
        "roc_auc": by_weight(person, lambda weight: _area(stops, score, weight), times=resamples),
        "pr_auc": by_weight(person, lambda weight: _precision(stops, score, weight), times=resamples),
        "precision": over_people(counts, lambda sums: _ratio(sums[..., 0], sums[..., 1])),
        "recall": over_people(counts, lambda sums: _ratio(sums[..., 0], sums[..., 2])),
    }
    return WearReport(
        family,
        "synthetic" if samples.synthetic else "recorded",
        split.text,
        split.by,
        len(split.train),
        len(validation),
        len(test),
        len(np.unique(samples.person)),
        float(stops.mean()),
        columns,
        dropped,
        threshold,
        figures,
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan))


def _area(stops: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    there = weight > 0
    if len(np.unique(stops[there])) < 2:
        return float("nan")
    return float(roc_auc_score(stops[there], score[there], sample_weight=weight[there]))


def _precision(stops: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    there = weight > 0
    if not stops[there].any():
        return float("nan")
    return float(average_precision_score(stops[there], score[there], sample_weight=weight[there]))
