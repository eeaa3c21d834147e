"""Training: windows in, a fitted pipeline out, with its card and its evaluation on held-out people.

The figures, the conformal quantile and the activities the regressor learns from all come from the same held-out
probabilities, of models that never saw the person; the model that ships is then fitted on everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.pipeline import Pipeline

from activitymodule.errors import NotEnoughDataError
from activitymodule.models.activity import feature_names
from activitymodule.models.calibration import WIDE_ALPHA, conformal_quantile
from activitymodule.models.contract import probabilities_of
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import COLUMNS, energy_matrix, energy_pipeline, with_gaps
from activitymodule.models.evaluation.held_out import (
    ActivityReport,
    EnergyReport,
    activity_report,
    calibrated_by_others,
    energy_report,
    held_out_probabilities,
    person_folds,
)
from activitymodule.models.evaluation.slices import AGE_BAND, DEVICE_MODEL, Slicing, age_band
from activitymodule.models.export import Card, ScoredWindows, libraries
from activitymodule.models.familiarity import Familiarity, familiarity_of
from activitymodule.models.families import classifier_family, classifier_of
from activitymodule.models.recalibration import Recalibration, by_held_out
from activitymodule.models.thresholds import Thresholds, choose_thresholds
from activitymodule.settings import Settings
from activitymodule.windows.catalogue import FEATURE_NAMES, FEATURES_VERSION, MOTION_FAMILIES
from activitymodule.windows.frame import in_known_frame

FOLDS = 10
_EXAMPLES = 8  # windows on a card

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ActivityTraining:
    """A classifier with its report, and of every original window the held-out probabilities and the true label.

    pipeline, familiarity : None where it was only evaluated; probabilities : float64 (n_windows, n_labels); truth :
    int (n_windows,), places in card.labels
    """

    pipeline: Pipeline | None
    card: Card
    report: ActivityReport
    probabilities: np.ndarray
    truth: np.ndarray
    familiarity: Familiarity | None = None
    thresholds: Thresholds | None = None

    def activities(self) -> np.ndarray:
        """The activity of each window as predicted by a model that never saw the person, str (n_windows,)."""
        return np.array(self.card.labels)[self.probabilities.argmax(1)]


@dataclass(frozen=True)
class ActivityFit:
    """A fitted classifier: its pipeline, the labels of its probabilities, the names of its features."""

    pipeline: Pipeline
    labels: tuple[str, ...]
    feature_names: tuple[str, ...]

    def probabilities(self, features: np.ndarray, device_models: np.ndarray) -> np.ndarray:
        """(n_windows, n_labels), of features (n_windows, len(FEATURE_NAMES)) and the models of the watches, str
        (n_windows,)."""
        columns = columns_of(features, self.feature_names)
        return probabilities_of(self.pipeline, columns, in_known_frame(device_models.tolist()))

    def standardised(self, features: np.ndarray) -> np.ndarray:
        """Standard scores of the training, (n_windows, n_features)."""
        fitted = self.pipeline["model"]
        return np.asarray(
            (columns_of(features, self.feature_names) - fitted.centre_) / fitted.scale_, np.float32
        )


@dataclass(frozen=True)
class EnergyTraining:
    """A regressor with its report, and of every window the held-out prediction and the truth, kcal/min."""

    pipeline: Pipeline | None
    card: Card
    report: EnergyReport
    predicted: np.ndarray
    truth: np.ndarray


def train_activity(
    data: TrainingWindows,
    config: Settings,
    *,
    families: tuple[str, ...] = MOTION_FAMILIES,
    folds: int = FOLDS,
    seed: int = 0,
    evaluate_only: bool = False,
    mirrored: TrainingWindows | None = None,
    progress: Progress | None = None,
    weight: np.ndarray | None = None,
) -> ActivityTraining:
    """Evaluate a classifier on people it has not seen, then fit it on all of them.

    Every window of `data` must have an activity. Copies among them teach, by `models.augmentation.weight`; figures,
    the quantile and what is returned are of originals. mirrored : the originals of `data` from watches on the other
    wrist, for an evaluation on them as well; weight : (n_windows,), how much each window counts in learning (the
    figures count each once). Raises DataError where there are fewer than two people or activities, ConfigError where
    `models.classifier` is no model family.
    """
    names = feature_names(families)
    family = classifier_family(config.models.classifier)
    X = columns_of(data.features, names)
    labels, every_truth = np.unique(data.activity, return_inverse=True)
    weight = with_copies(data, weight, config)
    if len(labels) < 2:
        raise NotEnoughDataError(
            "a classifier needs windows of at least two activities; the training data has one"
        )
    probabilities, *others = held_out_probabilities(
        lambda: classifier_of(config.models.classifier, names, seed),
        X,
        every_truth,
        data.person,
        len(labels),
        folds,
        [] if mirrored is None else [columns_of(mirrored.features, names)],
        progress,
        weight,
        data.copied,
        in_known_frame(data.originals().device_model.tolist()),
    )
    known, truth = data.originals(), every_truth[~data.copied]
    chosen = {}
    if getattr(family, "power_by_held_out", False):
        probabilities, power = calibrated_by_others(probabilities, truth, known.person, folds)
        chosen = {"model__power": power}
    label_names = tuple(str(label) for label in labels)
    mirrored_answers = others[0] if others else None
    report, thresholds = _evaluated(
        probabilities, truth, known, label_names, config, folds, seed, mirrored_answers
    )
    card = _card(names, label_names, config, probabilities, truth, known)
    own = np.ones(len(truth)) if weight is None else weight[~data.copied]
    card = replace(card, calibrations=_calibrations(known, probabilities, truth, own, config))
    weighted = {} if weight is None else {"model__sample_weight": weight}
    if evaluate_only:
        return ActivityTraining(None, card, report, probabilities, truth, thresholds=thresholds)
    pipeline = classifier_of(config.models.classifier, names, seed).set_params(**chosen)
    pipeline.fit(X, every_truth, **weighted)
    examples = _means(X[~data.copied], truth)
    card = _with_examples(card, examples, pipeline.predict_proba(examples))
    familiarity, _ = familiarity_of(X[~data.copied], known.person, names, seed=seed)
    return ActivityTraining(pipeline, card, report, probabilities, truth, familiarity, thresholds)


def _evaluated(
    probabilities: np.ndarray,
    truth: np.ndarray,
    known: TrainingWindows,
    labels: tuple[str, ...],
    config: Settings,
    folds: int,
    seed: int,
    mirrored: np.ndarray | None,
) -> tuple[ActivityReport, Thresholds]:
    """The report and the thresholds by held-out probabilities of `known`."""
    report = activity_report(
        probabilities,
        truth,
        known.person,
        known.run,
        labels,
        folds=folds,
        alpha=config.models.conformal_alpha,
        smoothing_windows=config.scoring.smoothing_windows,
        smoothing_stay=config.scoring.smoothing_stay,
        mirrored=mirrored,
        slicings=_slicings(known),
        seed=seed,
    )
    thresholds = choose_thresholds(
        probabilities,
        truth,
        known.person,
        labels,
        target=config.models.target_precision,
        folds=folds,
        seed=seed,
    )
    decided = replace(
        report,
        decided_share=thresholds.decided,
        decided_precision=thresholds.precision,
        recall_at_precision=thresholds.recall,
    )
    return decided, thresholds


def fit_activity(
    data: TrainingWindows,
    config: Settings,
    *,
    families: tuple[str, ...] = MOTION_FAMILIES,
    seed: int = 0,
    weight: np.ndarray | None = None,
) -> ActivityFit:
    """The classifier that `train_activity` would ship, without its evaluation. Arguments are as there."""
    names = feature_names(families)
    labels, truth = np.unique(data.activity, return_inverse=True)
    weight = with_copies(data, weight, config)
    weighted = {} if weight is None else {"model__sample_weight": weight}
    pipeline = classifier_of(config.models.classifier, names, seed)
    pipeline.fit(columns_of(data.features, names), truth, **weighted)
    return ActivityFit(pipeline, tuple(str(label) for label in labels), names)


def with_copies(data: TrainingWindows, weight: np.ndarray | None, config: Settings) -> np.ndarray | None:
    """Weights with those of copies in them; None where every window counts the same."""
    if not data.copied.any():
        return weight
    return np.asarray(
        (1.0 if weight is None else weight) * np.where(data.copied, config.models.augmentation.weight, 1.0)
    )


def _slicings(data: TrainingWindows) -> list[Slicing]:
    """By device model, and by age band of the people who gave their age."""
    bands = [age_band(age) for age in data.people.age_years.tolist()]
    return [Slicing(DEVICE_MODEL, data.device_model), Slicing(AGE_BAND, np.array(bands, str))]


def _calibrations(
    known: TrainingWindows, probabilities: np.ndarray, truth: np.ndarray, weight: np.ndarray, config: Settings
) -> dict[str, Recalibration]:
    """Of the device models that are not most of the training: on that one the model itself is calibrated."""
    names, windows = np.unique(known.device_model, return_counts=True)
    few = np.isin(known.device_model, names[windows <= len(known) / 2])
    models = np.where(few, known.device_model, "")
    alpha = config.models.conformal_alpha
    return by_held_out(probabilities, truth, known.person, models, weight, alpha=alpha)


def _card(
    names: tuple[str, ...],
    labels: tuple[str, ...],
    config: Settings,
    probabilities: np.ndarray,
    truth: np.ndarray,
    known: TrainingWindows,
) -> Card:
    """The card of a classifier, with its conformal quantiles by held-out probabilities."""
    alpha, person = config.models.conformal_alpha, known.person
    models, windows = np.unique(known.device_model[known.device_model != ""], return_counts=True)
    return Card(
        kind="activity",
        labels=labels,
        feature_names=names,
        features_version=FEATURES_VERSION,
        length_seconds=config.windows.length_seconds,
        rate_hz=config.windows.rate_hz,
        conformal_alpha=alpha,
        conformal_quantile=conformal_quantile(probabilities, truth, person, alpha),
        conformal_quantile_wide=conformal_quantile(probabilities, truth, person, alpha * WIDE_ALPHA),
        device_models=dict(zip(models.tolist(), windows.tolist(), strict=True)),
    )


def predicted_activities(pipeline: Pipeline, card: Card, data: TrainingWindows) -> np.ndarray:
    """The activities that a classifier predicts: str (n_windows,)."""
    known = in_known_frame(data.device_model.tolist())
    answers = probabilities_of(pipeline, columns_of(data.features, card.feature_names), known)
    return np.array(card.labels)[answers.argmax(1)]


def train_energy(
    data: TrainingWindows,
    activities: np.ndarray | None,
    labels: Sequence[str],
    config: Settings,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    evaluate_only: bool = False,
    progress: Progress | None = None,
) -> EnergyTraining:
    """Evaluate a regressor on people it has not seen, then fit it on all of them.

    activities : str (n_windows,), predicted activities (not true ones: those do not come with a stream), None
    where there is no classifier; labels : the activities there are. Every window of `data` must have an energy.
    """
    code = np.full(len(data), np.nan)
    if activities is not None:
        place = {label: k for k, label in enumerate(labels)}
        code = np.array([place.get(str(activity), np.nan) for activity in activities], float)
    X = energy_matrix(data.features, FEATURE_NAMES, data.people, code)
    truth = data.kcal_per_min.astype(np.float64)
    predicted = np.zeros(len(data))
    splits = person_folds(data.person, folds)
    for k, (learn, test) in enumerate(splits):
        if progress:
            progress(k, len(splits))
        predicted[test] = _fit_energy(X[learn], truth[learn], labels, seed).predict(X[test])
    if progress:
        progress(len(splits), len(splits))
    card = Card(
        kind="energy",
        labels=tuple(str(label) for label in labels),
        feature_names=COLUMNS,
        features_version=FEATURES_VERSION,
        length_seconds=config.windows.length_seconds,
        rate_hz=config.windows.rate_hz,
    )
    report = energy_report(predicted, truth, data.person, folds=folds, seed=seed)
    if evaluate_only:
        return EnergyTraining(None, card, report, predicted, truth)
    pipeline = _fit_energy(X, truth, labels, seed)
    examples = _means(X, np.nan_to_num(code, nan=-1))
    # means of codes are no codes
    examples[:, COLUMNS.index("sex")] = np.nan
    examples[:, COLUMNS.index("activity")] = np.round(examples[:, COLUMNS.index("activity")])
    card = _with_examples(card, examples, pipeline.predict(examples))
    return EnergyTraining(pipeline, card, report, predicted, truth)


def _means(X: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The mean window of each of the first groups, like X (n_groups, n_columns); of no single person. NaN where none
    has a value."""
    chosen = [X[groups == group] for group in np.unique(groups)[:_EXAMPLES]]
    known = [np.isfinite(rows).sum(0) for rows in chosen]
    means = [np.nansum(rows, 0) / np.where(n, n, np.nan) for rows, n in zip(chosen, known, strict=True)]
    return np.array(means).astype(X.dtype)


def _with_examples(card: Card, examples: np.ndarray, answers: np.ndarray) -> Card:
    """The card of a fitted model, with its answers to some windows and the libraries it was fitted with."""
    return replace(card, libraries=libraries(), scored=ScoredWindows.of(examples, answers))


def _fit_energy(X: np.ndarray, y: np.ndarray, labels: Sequence[str], seed: int) -> Pipeline:
    X, y, weight = with_gaps(X, y, seed)
    return energy_pipeline(labels, seed).fit(X, y, model__sample_weight=weight)


def columns_of(features: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Some of the columns of features (n_windows, len(FEATURE_NAMES)), by name."""
    return np.ascontiguousarray(features[:, [FEATURE_NAMES.index(name) for name in names]])
