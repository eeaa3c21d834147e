"""A challenger: the champion's features on a new training set, written as a folder that can be registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from activitymodule.errors import NotEnoughDataError
from activitymodule.learning.training_set import TrainingSet
from activitymodule.models import figures
from activitymodule.models.baseline import baseline_of, write_baseline
from activitymodule.models.export import write_folder
from activitymodule.models.familiarity import write_familiarity
from activitymodule.models.thresholds import write_thresholds
from activitymodule.models.training import ActivityTraining, train_activity
from activitymodule.settings import Settings
from activitymodule.windows.catalogue import FEATURES, MOTION_FAMILIES

FOLDS = 5


def families_of(feature_names: Sequence[str]) -> tuple[str, ...]:
    """The families of features of a model, from the names on its card; those of the acceleration
    where the names are not whole families of this code."""
    names = set(feature_names)
    families: list[str] = []
    for feature in FEATURES:
        if feature.name in names and feature.family not in families:
            families.append(feature.family)
    whole = {feature.name for feature in FEATURES if feature.family in families}
    return tuple(families) if families and whole == names else MOTION_FAMILIES


def train_challenger(
    training: TrainingSet,
    config: Settings,
    *,
    families: tuple[str, ...] = MOTION_FAMILIES,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ActivityTraining:
    """Evaluate the recipe on people it has not seen, then fit it on all of them; same set, same seed, same model.

    Raises DataError where there is no label that it could learn from.
    """
    if not len(training.labelled):
        raise NotEnoughDataError("no gold label may be learnt from, so a challenger would equal the champion")
    # with more threads the order of a sum, and so its last bits, would differ from run to run
    with threadpool_limits(1):
        return train_activity(
            training.windows,
            config,
            families=families,
            folds=folds,
            seed=seed,
            progress=progress,
            weight=training.weights,
        )


def write_challenger(folder: Path, trained: ActivityTraining, training: TrainingSet, config: Settings) -> str:
    """Model, card, metrics, drift baseline and figures into an existing folder; the model file's SHA-256."""
    assert trained.pipeline is not None
    windows = training.windows.originals()
    sha256 = write_folder(folder, trained.pipeline, trained.card, trained.report.as_json(), config.models)
    baseline = baseline_of(windows.features, trained.probabilities, trained.card.labels, windows.person)
    write_baseline(folder, baseline)
    write_familiarity(folder, trained.familiarity)
    write_thresholds(folder, trained.thresholds)
    counts = np.array(trained.report.confusion)
    figures.confusion_figure(counts, trained.card.labels, folder / "confusion_matrix.png")
    figures.reliability_figure(trained.probabilities, trained.truth, folder / "reliability.png")
    return sha256


def headline(trained: ActivityTraining) -> dict[str, float]:
    """The figures by which versions are compared in the registry."""
    report = trained.report
    return {
        "accuracy": report.accuracy,
        "macro_f1": report.macro_f1,
        "ece": report.ece,
        "conformal_coverage": report.conformal_coverage,
        "smoothed_macro_f1": report.smoothed_macro_f1,
        "recall_at_precision": report.recall_at_precision or 0.0,
    }


def parameters(trained: ActivityTraining) -> dict[str, object]:
    """Parameters of the classifier itself."""
    assert trained.pipeline is not None
    return trained.pipeline["model"].get_params()
