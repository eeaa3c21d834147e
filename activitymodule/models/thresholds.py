"""For each activity the least confidence with which its predictions are precise enough, on people held out.

A prediction that reaches it is *decided*. Of the confidences that reach the target precision the least one is taken, as
it has the greatest recall. All figures are of probabilities by models that never saw the person.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from activitymodule.errors import ModelError
from activitymodule.models.evaluation.held_out import BOOTSTRAPS, person_folds

THRESHOLD_FILE = "threshold.json"
LEAST_WINDOWS = 20  # of fewer decided windows, or people, no precision is known
LEAST_PEOPLE = 2


@dataclass(frozen=True)
class Interval:
    """A 95 % interval over people (percentile bootstrap, people drawn with replacement)."""

    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """Of one activity. confidence : the least one that is precise enough, None where none is

    precision, recall : of predictions that reach it, on people held out, with their intervals over people;
    precision_on_others : of predictions whose threshold was chosen on other people (None: nothing was decided); decided
    : windows that reach it; windows : of the activity in truth
    """

    confidence: float | None
    precision: float | None
    recall: float
    precision_interval: Interval | None
    recall_interval: Interval | None
    precision_on_others: float | None
    decided: int
    windows: int


@dataclass(frozen=True)
class Thresholds:
    """Of a version. activities : label -> its threshold, in the order of the labels

    precision : share of all decided windows that are right, None where nothing is decided; recall : mean over the
    activities; decided : share of all windows
    """

    target_precision: float
    people: int
    activities: dict[str, Threshold]
    precision: float | None
    recall: float
    decided: float

    def confidences(self, labels: Sequence[str]) -> np.ndarray:
        """The least confidence of each label, float32 (n_labels,); infinite where none is precise enough."""
        found = [self.activities[label].confidence for label in labels]
        return np.array([np.inf if one is None else one for one in found], np.float32)

    def to_json(self) -> str:
        """The thresholds as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Thresholds:
        """Raises ModelError where it is none."""
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ModelError(
                f"{THRESHOLD_FILE} of the model cannot be used ({where} {first['msg']})"
            ) from None


def write_thresholds(folder: Path, thresholds: Thresholds | None) -> None:
    """Put them beside their model."""
    if thresholds is not None:
        (folder / THRESHOLD_FILE).write_text(thresholds.to_json() + "\n", encoding="utf-8")


def read_thresholds(folder: Path) -> Thresholds | None:
    """The thresholds of a fetched version; None where it was trained without any. Raises ModelError."""
    path = folder / THRESHOLD_FILE
    return Thresholds.from_json(path.read_bytes()) if path.is_file() else None


def choose_thresholds(
    probabilities: np.ndarray,
    truth: np.ndarray,
    person: np.ndarray,
    labels: Sequence[str],
    *,
    target: float,
    folds: int,
    seed: int = 0,
) -> Thresholds:
    """The thresholds by held-out probabilities.

    probabilities : (n_windows, n_labels), of models that never saw the person; truth : int (n_windows,), places in
    `labels`; person : (n_windows,)
    """
    # as the store keeps confidences, and compares them
    confidence = probabilities.astype(np.float32).max(1)
    predicted = probabilities.argmax(1)
    chosen = _least(confidence, predicted, truth, person, len(labels), target)
    by_others = np.zeros(len(truth), bool)
    for others, own in person_folds(person, folds):
        least = _least(
            confidence[others], predicted[others], truth[others], person[others], len(labels), target
        )
        by_others[own] = confidence[own] >= least[predicted[own]]
    decided, right = confidence >= chosen[predicted], predicted == truth
    activities = {
        label: _threshold(k, chosen[k], decided, by_others, predicted, truth, person, seed)
        for k, label in enumerate(labels)
    }
    return Thresholds(
        target_precision=target,
        people=len(np.unique(person)),
        activities=activities,
        precision=float(right[decided].mean()) if decided.any() else None,
        recall=float(np.mean([one.recall for one in activities.values()])),
        decided=float(decided.mean()),
    )


def _least(
    confidence: np.ndarray,
    predicted: np.ndarray,
    truth: np.ndarray,
    person: np.ndarray,
    n_labels: int,
    target: float,
) -> np.ndarray:
    """The least confidence of each label that is precise enough, float32 (n_labels,); infinite where none is."""
    found = np.full(n_labels, np.inf, np.float32)
    for k in range(n_labels):
        rows = np.flatnonzero(predicted == k)
        rows = rows[np.argsort(-confidence[rows], kind="stable")]
        right = np.cumsum(truth[rows] == k)
        count = np.arange(1, len(rows) + 1)
        # windows of one confidence are decided together
        last = np.append(np.diff(confidence[rows]) != 0, True) if len(rows) else np.zeros(0, bool)
        first_of_person = np.zeros(len(rows), bool)
        first_of_person[np.unique(person[rows], return_index=True)[1]] = True
        enough = (count >= LEAST_WINDOWS) & (np.cumsum(first_of_person) >= LEAST_PEOPLE)
        precise = np.flatnonzero(last & enough & (right >= target * count - 1e-9))
        if len(precise):
            found[k] = confidence[rows[precise[-1]]]
    return found


def _threshold(
    k: int,
    confidence: np.float32,
    decided: np.ndarray,
    by_others: np.ndarray,
    predicted: np.ndarray,
    truth: np.ndarray,
    person: np.ndarray,
    seed: int,
) -> Threshold:
    """The figures of one label at its threshold."""
    own, actual = decided & (predicted == k), truth == k
    hits, others = own & actual, by_others & (predicted == k)
    precision, recall = None, None
    if own.any():
        _, code = np.unique(person, return_inverse=True)
        of_people = np.stack([np.bincount(code, rows) for rows in (hits, own, actual)], 1)
        dice, people = np.random.default_rng(seed), len(of_people)
        times = dice.multinomial(people, np.full(people, 1 / people), size=BOOTSTRAPS)
        hit, said, there = (times @ of_people).T
        precision, recall = _interval(hit, said), _interval(hit, there)
    return Threshold(
        confidence=float(confidence) if np.isfinite(confidence) else None,
        precision=float(hits.sum() / own.sum()) if own.any() else None,
        recall=float(hits.sum() / max(actual.sum(), 1)),
        precision_interval=precision,
        recall_interval=recall,
        precision_on_others=float(actual[others].mean()) if others.any() else None,
        decided=int(own.sum()),
        windows=int(actual.sum()),
    )


def _interval(part: np.ndarray, whole: np.ndarray) -> Interval:
    """Of shares over draws of people, (n_draws,); draws without any are left out."""
    low, high = np.quantile(part[whole > 0] / whole[whole > 0], (0.025, 0.975))
    return Interval(float(low), float(high))
