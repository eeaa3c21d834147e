"""Evaluation on people held out: folds of whole people, and the spread over people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold

from activitymodule.errors import NotEnoughDataError
from activitymodule.models.calibration import (
    conformal_quantile,
    conformal_sets,
    expected_calibration_error,
    reliability,
)
from activitymodule.models.contract import probabilities_of
from activitymodule.models.evaluation.scores import (
    LabelScores,
    accuracy,
    confusion,
    label_scores,
    macro_f1,
)
from activitymodule.models.evaluation.slices import SliceFigures, Slicing, slice_figures
from activitymodule.models.recalibration import matching_power, powered
from activitymodule.models.smoothing import smooth_runs

BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Spread:
    """A figure over people: mean and standard deviation of each person's own, and a 95 % interval of the
    figure itself by resampling people (percentile bootstrap, people drawn with replacement)."""

    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class ReliabilityPoint:
    """Windows of about one confidence: its mean, the share that was right, how many they are."""

    confidence: float
    accuracy: float
    windows: int


@dataclass(frozen=True)
class ActivityReport:
    """Figures of a classifier on held-out people. Rows of `confusion` are truths, columns predictions.

    decided_share, decided_precision, recall_at_precision : of models/thresholds, the last the mean over activities;
    None in reports of earlier versions
    """

    windows: int
    people: int
    folds: int
    labels: tuple[str, ...]
    accuracy: float
    macro_f1: float
    per_label: dict[str, LabelScores]
    ece: float
    conformal_alpha: float
    conformal_coverage: float
    conformal_set_size: float
    conformal_empty: float
    accuracy_over_people: Spread
    macro_f1_over_people: Spread
    smoothed_accuracy: float
    smoothed_macro_f1: float
    mirrored_macro_f1: float | None
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[ReliabilityPoint, ...]
    slices: tuple[SliceFigures, ...] = ()
    decided_share: float | None = None
    decided_precision: float | None = None
    recall_at_precision: float | None = None

    def as_json(self) -> dict[str, object]:
        """The report as JSON's types."""
        return asdict(self)


@dataclass(frozen=True)
class EnergyReport:
    """Figures of a regressor on held-out people, in kcal/min; mape is a share of the true value."""

    windows: int
    people: int
    folds: int
    mae: float
    rmse: float
    r2: float
    mape: float
    bias: float
    mae_over_people: Spread

    def as_json(self) -> dict[str, object]:
        """The report as JSON's types."""
        return asdict(self)


def person_folds(person: np.ndarray, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to test on, whole people apart; at most as many folds as people."""
    people = len(np.unique(person))
    if people < 2:
        raise NotEnoughDataError(
            "a model is evaluated on people it has not seen: the data needs at least two people"
        )
    count = min(folds, people)
    return list(GroupKFold(count).split(np.zeros((len(person), 1)), groups=person))


def folds_with_copies(
    person: np.ndarray, original: np.ndarray, folds: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from, copies among them, and places in `original` (rows that are no copies) to test on."""
    return [
        (np.flatnonzero(~np.isin(person, np.unique(person[original[test]]))), test)
        for _, test in person_folds(person[original], folds)
    ]


def held_out_probabilities(
    make: Callable[[], Any],
    X: np.ndarray,
    truth: np.ndarray,
    person: np.ndarray,
    n_labels: int,
    folds: int,
    X_test: Sequence[np.ndarray] = (),
    progress: Callable[[int, int], None] | None = None,
    weight: np.ndarray | None = None,
    copied: np.ndarray | None = None,
    frame_known: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Probabilities of every original by a model that never saw its person; float64 (n_originals, n_labels) each.

    make : a new, unfitted classifier; truth : int (n_windows,), codes below n_labels
    X_test : further versions of the originals (mirrored, with gaps) that the same models are tested on; the list that
    is returned has one entry for X and one for each of them. A label that a fold's people lack gets 0.
    weight : (n_windows,), how much each counts in learning, for a pipeline whose last step is called `model`
    copied : bool (n_windows,), the copies of windows, by default none: learnt from with their person, tested on never
    frame_known : bool (n_originals,), originals that are in the canonical frame, by default none
    """
    original = np.arange(len(truth)) if copied is None else np.flatnonzero(~copied)
    versions = [X[original], *X_test]
    out = [np.zeros((len(original), n_labels)) for _ in versions]
    splits = folds_with_copies(person, original, folds)
    for k, (learn, test) in enumerate(splits):
        if progress:
            progress(k, len(splits))
        weighted = {} if weight is None else {"model__sample_weight": weight[learn]}
        model = make().fit(X[learn], truth[learn], **weighted)
        classes = np.asarray(model.classes_, int)
        for probabilities, version in zip(out, versions, strict=True):
            known = None if frame_known is None else frame_known[test]
            probabilities[np.ix_(test, classes)] = probabilities_of(model, version[test], known)
    if progress:
        progress(len(splits), len(splits))
    return out


def over_people(counts: np.ndarray, figure: Callable[[np.ndarray], np.ndarray], seed: int) -> Spread:
    """Spread over people of a figure of confusion matrices; counts (n_people, n_labels, n_labels)."""
    own = figure(counts)
    dice = np.random.default_rng(seed)
    people = len(counts)
    times = dice.multinomial(people, np.full(people, 1 / people), size=BOOTSTRAPS)
    drawn = figure(np.einsum("bp,pij->bij", times, counts))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Spread(float(own.mean()), float(own.std(ddof=1)) if people > 1 else 0.0, float(low), float(high))


def confusions_of_people(
    predicted: np.ndarray, truth: np.ndarray, person: np.ndarray, n_labels: int
) -> np.ndarray:
    """The confusion matrix of each person, by name, int (n_people, n_labels, n_labels); arguments (n_windows,)."""
    names, code = np.unique(person, return_inverse=True)
    return np.stack([confusion(predicted[code == k], truth[code == k], n_labels) for k in range(len(names))])


def held_out_coverage(
    probabilities: np.ndarray, truth: np.ndarray, person: np.ndarray, alpha: float, folds: int
) -> np.ndarray:
    """Conformal sets whose quantile comes from other people: bool (n_windows, n_labels).

    probabilities : of held-out people, as `held_out_probabilities` gives them
    """
    sets = np.zeros(probabilities.shape, bool)
    for others, own in person_folds(person, folds):
        quantile = conformal_quantile(probabilities[others], truth[others], person[others], alpha)
        sets[own] = conformal_sets(probabilities[own], quantile)
    return sets


def calibrated_by_others(
    probabilities: np.ndarray, truth: np.ndarray, person: np.ndarray, folds: int
) -> tuple[np.ndarray, float]:
    """Held-out probabilities (n_windows, n_labels) to the power with which the mean confidence of other people is
    their accuracy, and that power by everybody."""
    right, even = probabilities.argmax(1) == truth, np.ones(len(truth))
    out = np.empty_like(probabilities)
    for others, own in person_folds(person, folds):
        power = matching_power(probabilities[others], right[others], even[others])
        out[own] = powered(probabilities[own], power)
    return out, matching_power(probabilities, right, even)


def activity_report(
    probabilities: np.ndarray,
    truth: np.ndarray,
    person: np.ndarray,
    run: np.ndarray,
    labels: Sequence[str],
    *,
    folds: int,
    alpha: float,
    smoothing_windows: int,
    smoothing_stay: float,
    mirrored: np.ndarray | None = None,
    slicings: Sequence[Slicing] = (),
    seed: int = 0,
) -> ActivityReport:
    """The report of held-out probabilities (n_windows, n_labels); truth holds label codes.

    slicings : groups of windows whose figures are given, too

    mirrored : the same of the same people with their watches on the other wrist
    """
    n = len(labels)
    predicted = probabilities.argmax(1)
    counts = confusion(predicted, truth, n)
    each = confusions_of_people(predicted, truth, person, n)
    sets = held_out_coverage(probabilities, truth, person, alpha, folds)
    smoothed = smooth_runs(probabilities, run, smoothing_stay, smoothing_windows).argmax(1)
    smoothed_counts = confusion(smoothed, truth, n)
    return ActivityReport(
        windows=len(truth),
        people=len(each),
        folds=min(folds, len(each)),
        labels=tuple(labels),
        accuracy=float(accuracy(counts)),
        macro_f1=float(macro_f1(counts)),
        per_label=label_scores(counts, labels),
        ece=expected_calibration_error(probabilities, truth),
        conformal_alpha=alpha,
        conformal_coverage=float(sets[np.arange(len(truth)), truth].mean()),
        conformal_set_size=float(sets.sum(1).mean()),
        conformal_empty=float((~sets.any(1)).mean()),
        accuracy_over_people=over_people(each, accuracy, seed),
        macro_f1_over_people=over_people(each, macro_f1, seed),
        smoothed_accuracy=float(accuracy(smoothed_counts)),
        smoothed_macro_f1=float(macro_f1(smoothed_counts)),
        mirrored_macro_f1=(
            None if mirrored is None else float(macro_f1(confusion(mirrored.argmax(1), truth, n)))
        ),
        confusion=tuple(tuple(int(v) for v in row) for row in counts),
        reliability=_reliability_points(probabilities, truth),
        slices=slice_figures(
            slicings,
            truth,
            predicted,
            person,
            confidence=probabilities.max(1),
            covered=sets[np.arange(len(truth)), truth],
        ),
    )


def _reliability_points(probabilities: np.ndarray, truth: np.ndarray) -> tuple[ReliabilityPoint, ...]:
    bars = reliability(probabilities, truth)
    return tuple(
        ReliabilityPoint(float(confidence), float(accuracy), round(float(share) * len(truth)))
        for confidence, accuracy, share in zip(bars.confidence, bars.accuracy, bars.share, strict=True)
        if share > 0
    )


def energy_report(
    predicted: np.ndarray, truth: np.ndarray, person: np.ndarray, *, folds: int, seed: int = 0
) -> EnergyReport:
    """Figures of held-out predictions; predicted, truth : (n_windows,), kcal/min."""
    error = predicted - truth
    names, code = np.unique(person, return_inverse=True)
    count = np.bincount(code)
    total = np.bincount(code, np.abs(error))
    dice = np.random.default_rng(seed)
    times = dice.multinomial(len(names), np.full(len(names), 1 / len(names)), size=BOOTSTRAPS)
    low, high = np.quantile(times @ total / (times @ count), (0.025, 0.975))
    own = total / count
    variance = np.square(truth - truth.mean()).mean()
    return EnergyReport(
        windows=len(truth),
        people=len(names),
        folds=min(folds, len(names)),
        mae=float(np.abs(error).mean()),
        rmse=float(np.sqrt(np.square(error).mean())),
        r2=float(1 - np.square(error).mean() / variance) if variance > 0 else 0.0,
        mape=float((np.abs(error) / np.maximum(truth, 0.1)).mean()),
        bias=float(error.mean()),
        mae_over_people=Spread(
            float(own.mean()), float(own.std(ddof=1)) if len(own) > 1 else 0.0, float(low), float(high)
        ),
    )
