"""Model families on the same folds of whole people: figures, their spread over people, and whether they differ.

Each family is trained on the same windows and copies, with the same weights. What a fold's model says of people it has
not seen is kept; all figures are of these probabilities.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from joblib import Parallel, delayed, parallel_config
from scipy.stats import wilcoxon
from sklearn.metrics import roc_auc_score

from activitymodule.errors import NotEnoughDataError
from activitymodule.models.activity import feature_names
from activitymodule.models.calibration import expected_calibration_error
from activitymodule.models.contract import probabilities_of
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.evaluation.held_out import (
    Spread,
    calibrated_by_others,
    confusions_of_people,
    folds_with_copies,
    over_people,
)
from activitymodule.models.evaluation.scores import accuracy, label_scores, macro_f1
from activitymodule.models.export import dump
from activitymodule.models.families import classifier_family, classifier_of
from activitymodule.models.training import columns_of, with_copies
from activitymodule.settings import Settings
from activitymodule.windows.frame import in_known_frame

FOLDS = 5
JOBS = 2
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class FamilyFigures:
    """A model family on held-out people.

    precision, recall : means over the activities; roc_auc : one against the rest, mean over the activities
    ece, ece_calibrated : expected calibration error, before and after a power of the probabilities that other people
    gave; power : that of everybody
    fit_seconds, windows_per_second : processor time, medians over the folds; megabytes : of the model file of a fold
    behind : how much lower a person's macro-F1 is than with the best family, in the mean; p_value : of the Wilcoxon
    signed-rank test over people, by Holm for all families; None of the best one itself
    """

    family: str
    macro_f1: float
    accuracy: float
    roc_auc: float
    precision: float
    recall: float
    ece: float
    ece_calibrated: float
    power: float
    macro_f1_over_people: Spread
    accuracy_over_people: Spread
    fit_seconds: float
    windows_per_second: float
    megabytes: float
    behind: float | None = None
    p_value: float | None = None

    @property
    def worse(self) -> bool:
        """Whether people differ significantly from the best family."""
        return self.p_value is not None and self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class Comparison:
    """Families by macro-F1, the best first. person_macro_f1 : family -> macro-F1 of each person (activities that the
    person has), in the order of their names."""

    windows: int
    copies: int
    people: int
    folds: int
    seed: int
    labels: tuple[str, ...]
    families: tuple[FamilyFigures, ...]
    person_macro_f1: dict[str, tuple[float, ...]]

    @property
    def best(self) -> str:
        """The family with the greatest macro-F1."""
        return self.families[0].family

    def as_json(self) -> dict[str, object]:
        """The comparison as JSON's types."""
        return {"best": self.best, **asdict(self)}


@dataclass(frozen=True)
class _Fold:
    """What one family's model says of one fold; megabytes : 0 where it was not asked for."""

    family: str
    test: np.ndarray
    probabilities: np.ndarray
    fit_seconds: float
    windows_per_second: float
    megabytes: float


@dataclass(frozen=True)
class _Task:
    family: str
    learn: np.ndarray
    test: np.ndarray
    frame_known: np.ndarray  # of the windows to test on
    measured: bool


def compare_families(
    data: TrainingWindows,
    config: Settings,
    families: Sequence[str],
    *,
    folds: int = FOLDS,
    seed: int = 0,
    jobs: int = JOBS,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Train and test every family on the same folds of people. Every window of `data` must have an activity.

    jobs : processes. Raises NotEnoughDataError where there are fewer than two people or activities, ConfigError for a
    name that is no family.
    """
    for family in families:
        classifier_family(family)
    labels, truth = np.unique(data.activity, return_inverse=True)
    if len(labels) < 2:
        raise NotEnoughDataError("a comparison needs windows of at least two activities; the data has one")
    X, weight = columns_of(data.features, feature_names()), with_copies(data, None, config)
    original = np.flatnonzero(~data.copied)
    splits = folds_with_copies(data.person, original, folds)
    frame_known = in_known_frame(data.originals().device_model.tolist())
    tasks = [
        _Task(family, learn, original[test], frame_known[test], k == 0)
        for family in families
        for k, (learn, test) in enumerate(splits)
    ]
    done: list[_Fold] = []
    with parallel_config(backend="loky", inner_max_num_threads=1):
        pool = Parallel(n_jobs=min(jobs, len(tasks)), return_as="generator_unordered", max_nbytes="1M")
        for result in pool(delayed(_fit)(task, X, truth, weight, len(labels), seed) for task in tasks):
            done.append(result)
            if progress:
                progress(len(done), len(tasks))
    known, own_truth = data.take(original), truth[original]
    place = np.zeros(len(data), np.int64)
    place[original] = np.arange(len(original))
    figures, each = [], {}
    for family in families:
        parts = [one for one in done if one.family == family]
        probabilities = np.zeros((len(original), len(labels)))
        for part in parts:
            probabilities[place[part.test]] = part.probabilities
        own, each[family] = _figures(family, probabilities, own_truth, known.person, len(splits), seed)
        figures.append(
            replace(
                own,
                fit_seconds=float(np.median([one.fit_seconds for one in parts])),
                windows_per_second=float(np.median([one.windows_per_second for one in parts])),
                megabytes=max(one.megabytes for one in parts),
            )
        )
    return Comparison(
        windows=len(original),
        copies=len(data) - len(original),
        people=len(np.unique(known.person)),
        folds=len(splits),
        seed=seed,
        labels=tuple(str(label) for label in labels),
        families=tuple(_against_best(figures, each)),
        person_macro_f1={family: tuple(values.tolist()) for family, values in each.items()},
    )


def _fit(
    task: _Task, X: np.ndarray, truth: np.ndarray, weight: np.ndarray | None, n_labels: int, seed: int
) -> _Fold:
    """One family on one fold; in a process of its own."""
    pipeline = classifier_of(task.family, feature_names(), seed)
    weighted = {} if weight is None else {"model__sample_weight": weight[task.learn]}
    begin = time.process_time()
    pipeline.fit(X[task.learn], truth[task.learn], **weighted)
    fitted = time.process_time()
    probabilities = np.zeros((len(task.test), n_labels))
    answers = probabilities_of(pipeline, X[task.test], task.frame_known)
    probabilities[:, np.asarray(pipeline.classes_, int)] = answers
    asked = time.process_time() - fitted
    return _Fold(
        task.family,
        task.test,
        probabilities,
        fitted - begin,
        len(task.test) / max(asked, 1e-6),
        len(dump(pipeline)) / 1e6 if task.measured else 0.0,
    )


def _figures(
    family: str, probabilities: np.ndarray, truth: np.ndarray, person: np.ndarray, folds: int, seed: int
) -> tuple[FamilyFigures, np.ndarray]:
    """The figures of held-out probabilities (n_windows, n_labels), and the macro-F1 of each person (n_people,)."""
    n = probabilities.shape[1]
    each = confusions_of_people(probabilities.argmax(1), truth, person, n)
    counts = each.sum(0)
    scores = label_scores(counts, [str(k) for k in range(n)]).values()
    calibrated, power = calibrated_by_others(probabilities, truth, person, folds)
    found = FamilyFigures(
        family=family,
        macro_f1=float(macro_f1(counts)),
        accuracy=float(accuracy(counts)),
        roc_auc=float(
            roc_auc_score(truth, probabilities[:, 1])
            if n == 2
            else roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")
        ),
        precision=float(np.mean([one.precision for one in scores])),
        recall=float(np.mean([one.recall for one in scores])),
        ece=expected_calibration_error(probabilities, truth),
        ece_calibrated=expected_calibration_error(calibrated, truth),
        power=power,
        macro_f1_over_people=over_people(each, macro_f1, seed),
        accuracy_over_people=over_people(each, accuracy, seed),
        fit_seconds=0.0,
        windows_per_second=0.0,
        megabytes=0.0,
    )
    return found, macro_f1(each)


def _against_best(figures: Sequence[FamilyFigures], each: dict[str, np.ndarray]) -> list[FamilyFigures]:
    """The families by macro-F1, each with its distance from the best one."""
    ordered = sorted(figures, key=lambda one: -one.macro_f1)
    best, others = each[ordered[0].family], ordered[1:]
    p_values = holm([paired_p_value(best - each[one.family]) for one in others])
    return [
        ordered[0],
        *(
            replace(one, behind=float((best - each[one.family]).mean()), p_value=p_value)
            for one, p_value in zip(others, p_values, strict=True)
        ),
    ]


def paired_p_value(difference: np.ndarray) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test that differences (n_people,) lie around 0 (Wilcoxon 1945)."""
    if not np.any(difference):
        return 1.0
    return float(wilcoxon(difference, zero_method="zsplit").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests, so that the chance of one false finding among all stays that of one test (Holm 1979,
    Scandinavian Journal of Statistics 6)."""
    order = np.argsort(p_values)
    steps = np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]
