"""Both models on the same audit windows: macro-F1, F1 of each activity and calibration, over resampled people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np

from activitymodule.learning.gate.bootstrap import (
    adjusted_alpha,
    change_over_people,
    effective_people,
    resampled_people,
)
from activitymodule.learning.gate.subjects import Audit, Candidate
from activitymodule.learning.gate.verdict import (
    ChangedSides,
    ComparedFigures,
    LabelChange,
    Sides,
    SliceChange,
)
from activitymodule.models.calibration import ECE_BINS
from activitymodule.models.evaluation.scores import f1, mean_f1
from activitymodule.models.evaluation.slices import parts
from activitymodule.settings import Learning

GUARD_ALPHA = 0.05  # of the bounds of a loss: of an activity, of the calibration, of a group
LEAST_SLICE_PEOPLE = 5  # a group of fewer is resampled by its windows


@dataclass(frozen=True)
class _Tally:
    """Weights by person of what F1 and ECE are made of; (n_people, n_classes) and (n_people, n_bins)."""

    hits: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class _Truth:
    """The audit in codes: classes are the labels of the models and of the audit, counted those of the models."""

    classes: list[str]
    counted: np.ndarray
    truth: np.ndarray  # (n,), places in classes
    person: np.ndarray  # (n,), 0 to people - 1
    people: int
    weight: np.ndarray
    actual: np.ndarray  # (n_people, n_classes), weights

    @classmethod
    def of(cls, audit: Audit, *candidates: Candidate) -> _Truth:
        known = {label for candidate in candidates for label in candidate.labels}
        classes = sorted(known | set(audit.label.tolist()))
        truth = np.searchsorted(np.array(classes), audit.label)
        names, person = np.unique(audit.person, return_inverse=True)
        weight = audit.weights()
        return cls(
            classes,
            np.array([label in known for label in classes]),
            truth,
            person,
            len(names),
            weight,
            _by_person(person, len(names), truth, len(classes), weight),
        )

    def tally(self, candidate: Candidate) -> _Tally:
        assert candidate.probabilities is not None
        probabilities = np.nan_to_num(candidate.probabilities)
        place = np.array([self.classes.index(label) for label in candidate.labels])
        predicted = place[probabilities.argmax(1)]
        right = predicted == self.truth
        confidence = probabilities.max(1)
        bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)

        def by(code: np.ndarray, width: int, value: np.ndarray) -> np.ndarray:
            return _by_person(self.person, self.people, code, width, value)

        n = len(self.classes)
        return _Tally(
            hits=by(predicted, n, self.weight * right),
            predicted=by(predicted, n, self.weight),
            confidence=by(bins, ECE_BINS, self.weight * confidence),
            right=by(bins, ECE_BINS, self.weight * right),
        )

    def macro_f1(self, tally: _Tally, times: np.ndarray) -> np.ndarray:
        """Macro-F1 of resamples, `times` (n_resamples, n_people) how often each has a person."""
        return mean_f1(times @ tally.hits, times @ tally.predicted, times @ self.actual, self.counted)

    def ece(self, tally: _Tally, times: np.ndarray) -> np.ndarray:
        """Expected calibration error of resamples, as `macro_f1`."""
        distance = np.abs(times @ tally.confidence - times @ tally.right).sum(-1)
        return distance / np.maximum((times @ self.actual).sum(-1), 1e-12)

    def accuracy(self, tally: _Tally, times: np.ndarray) -> np.ndarray:
        """Share of correct predictions of resamples, as `macro_f1`."""
        return (times @ tally.hits).sum(-1) / np.maximum((times @ self.actual).sum(-1), 1e-12)

    def everybody(self) -> np.ndarray:
        """The sample itself: each person once."""
        return np.ones(self.people)


def _by_person(
    person: np.ndarray, people: int, code: np.ndarray, width: int, value: np.ndarray
) -> np.ndarray:
    """Sums of `value` by person and code, (people, width)."""
    return np.bincount(person * width + code, value, people * width).reshape(people, width)


def macro_f1_of(candidate: Candidate, audit: Audit) -> float:
    """Macro-F1 of one model on audit windows, over the activities it knows that are there."""
    truth = _Truth.of(audit, candidate)
    return float(truth.macro_f1(truth.tally(candidate), truth.everybody()))


def macro_f1_interval(
    candidate: Candidate, audit: Audit, resamples: int, *, seed: int = 0
) -> tuple[float, float, float]:
    """Macro-F1 of one model with the 95 % interval over people (percentile bootstrap): value, low, high."""
    truth = _Truth.of(audit, candidate)
    tally = truth.tally(candidate)
    drawn = truth.macro_f1(tally, resampled_people(truth.people, resamples, seed))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(truth.macro_f1(tally, truth.everybody())), float(low), float(high)


def compare(
    champion: Candidate,
    challenger: Candidate,
    audit: Audit,
    limits: Learning,
    *,
    seed: int = 0,
    verdicts_on_same_labels: int = 0,
) -> ComparedFigures:
    """Figures of both models on the same windows.

    The same resamples of people serve both models, so that what makes a person easy or hard for either cancels out.
    """
    truth = _Truth.of(audit, champion, challenger)
    before, after = truth.tally(champion), truth.tally(challenger)
    times = resampled_people(truth.people, limits.bootstrap, seed)
    people = effective_people(truth.actual.sum(1))
    alpha = adjusted_alpha(limits.alpha, verdicts_on_same_labels)

    def changed(figure: Callable[[_Tally, np.ndarray], np.ndarray], alpha: float) -> ChangedSides:
        own = [float(figure(tally, truth.everybody())) for tally in (before, after)]
        drawn = figure(after, times) - figure(before, times)
        change = change_over_people(own[1] - own[0], drawn, people, alpha)
        return ChangedSides(champion=own[0], challenger=own[1], **asdict(change))

    accuracy = [float(tally.hits.sum() / truth.actual.sum()) for tally in (before, after)]
    return ComparedFigures(
        labels=len(audit),
        people=truth.people,
        verdicts_on_same_labels=verdicts_on_same_labels,
        effective_people=round(people, 1),
        alpha=alpha,
        resamples=limits.bootstrap,
        macro_f1=changed(truth.macro_f1, alpha),
        accuracy=Sides(champion=accuracy[0], challenger=accuracy[1]),
        ece=changed(truth.ece, GUARD_ALPHA),
        per_label=_per_label(truth, before, after, times),
        unknown_to_both=tuple(
            label for label, known in zip(truth.classes, truth.counted.tolist(), strict=True) if not known
        ),
        slices=tuple(_per_slice(champion, challenger, audit, limits.bootstrap, seed)),
    )


def _per_slice(
    champion: Candidate, challenger: Candidate, audit: Audit, resamples: int, seed: int
) -> Iterator[SliceChange]:
    """Accuracy and calibration of each group of the audit windows, with the bound of the change of accuracy.

    The bound is over people. A group of fewer than LEAST_SLICE_PEOPLE has no spread over people to speak of: there its
    windows are resampled, which refuses sooner.
    """
    for kind, name, rows in parts(audit.slicings):
        few = len(np.unique(audit.person[rows])) < LEAST_SLICE_PEOPLE
        person = np.array([f"{k}" for k in range(rows.sum())]) if few else audit.person[rows]
        own = replace(
            audit,
            label=audit.label[rows],
            person=person,
            features=audit.features[rows],
            propensity=audit.propensity[rows],
            slicings=(),
        )
        sides = [replace(one, probabilities=_rows(one, rows)) for one in (champion, challenger)]
        truth = _Truth.of(own, *sides)
        before, after = (truth.tally(one) for one in sides)
        times = resampled_people(truth.people, resamples, seed)
        scores = [float(truth.accuracy(tally, truth.everybody())) for tally in (before, after)]
        errors = [float(truth.ece(tally, truth.everybody())) for tally in (before, after)]
        drawn = truth.accuracy(after, times) - truth.accuracy(before, times)
        people = effective_people(truth.actual.sum(1))
        yield SliceChange(
            kind=kind,
            name=name,
            windows=int(rows.sum()),
            people=len(np.unique(audit.person[rows])),
            champion=scores[0],
            challenger=scores[1],
            champion_ece=errors[0],
            challenger_ece=errors[1],
            high=change_over_people(scores[1] - scores[0], drawn, people, GUARD_ALPHA).high,
        )


def _rows(candidate: Candidate, rows: np.ndarray) -> np.ndarray:
    assert candidate.probabilities is not None
    return candidate.probabilities[rows]


def _per_label(truth: _Truth, before: _Tally, after: _Tally, times: np.ndarray) -> dict[str, LabelChange]:
    """Recall and F1 of each activity of the audit, with the bound of the change of F1 over people."""
    out = {}
    actual = truth.actual
    resampled = times @ actual
    for k in np.flatnonzero(truth.counted & (actual.sum(0) > 0)).tolist():
        total = actual[:, k].sum()
        there = resampled[:, k] > 0  # resamples without the activity carry no information on it
        own, drawn = [], []
        for tally in (before, after):
            own.append(float(f1(tally.hits[:, k].sum(), tally.predicted[:, k].sum(), total)))
            hits, predicted = times @ tally.hits[:, k], times @ tally.predicted[:, k]
            drawn.append(f1(hits[there], predicted[there], resampled[there, k]))
        people = effective_people(actual[:, k])
        change = change_over_people(own[1] - own[0], drawn[1] - drawn[0], people, GUARD_ALPHA)
        out[truth.classes[k]] = LabelChange(
            windows=int((truth.truth == k).sum()),
            people=int((actual[:, k] > 0).sum()),
            champion=float(before.hits[:, k].sum() / total),
            challenger=float(after.hits[:, k].sum() / total),
            champion_hits=float(before.hits[:, k].sum()),
            challenger_hits=float(after.hits[:, k].sum()),
            champion_f1=own[0],
            challenger_f1=own[1],
            high=change.high,
        )
    return out
