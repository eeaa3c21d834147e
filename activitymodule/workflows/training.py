"""Training: from recordings to a registered activity or energy model, evaluated on people it has not seen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from activitymodule.errors import DataError
from activitymodule.files import folder_beside
from activitymodule.learning.challenger import headline
from activitymodule.models import figures
from activitymodule.models.baseline import baseline_of, write_baseline
from activitymodule.models.dataset import AS_WORN, OTHER_WRIST, Mirror, TrainingWindows
from activitymodule.models.evaluation.held_out import ActivityReport, EnergyReport
from activitymodule.models.export import write_folder
from activitymodule.models.familiarity import write_familiarity
from activitymodule.models.thresholds import write_thresholds
from activitymodule.models.training import (
    FOLDS,
    ActivityTraining,
    EnergyTraining,
    predicted_activities,
    train_activity,
    train_energy,
)
from activitymodule.registry.lineage import smoothing, write_lineage
from activitymodule.registry.versions import ModelVersion, champion
from activitymodule.serving.record import serving_version
from activitymodule.settings import Settings
from activitymodule.windows.catalogue import MOTION_FAMILIES
from activitymodule.workflows.promotion import model_name
from activitymodule.workflows.registering import register_folder
from activitymodule.workflows.requests import TrainingRequest
from activitymodule.workflows.training_data import Progress, load_windows, public_name

Request = TrainingRequest
Kind = Literal["activity", "energy"]
Begin = Callable[[str], Progress]
"""Called with what begins; what it returns is called as that goes on."""

SYNTHETIC_FOLDS = 5


@dataclass(frozen=True)
class Outcome:
    """The result for one model: its figures, and its name and version where it was registered."""

    kind: Kind
    data: str
    metrics: ActivityReport | EnergyReport
    name: str | None = None
    version: str | None = None
    champion: bool = False
    folder: str | None = None


def silent(_text: str) -> Progress:
    """Shows no progress."""
    return lambda done, of: None


def train(request: Request, config: Settings, *, begin: Begin = silent) -> list[Outcome]:
    """Train, evaluate and (unless only evaluated) register what is requested; one outcome a model.

    The first version of a model becomes champion; a later one only where the request has `promote`. Raises
    DataError for data that cannot be used, ConfigError, and ServiceUnavailableError before the work begins.
    """
    kinds: tuple[Kind, ...] = ("activity", "energy") if request.what == "both" else (request.what,)
    serving: dict[Kind, ModelVersion | None] = {}
    if not request.evaluate_only and request.folder is None:
        for kind in kinds:
            champion(config, model_name(config, kind))  # fail now if the registry does not answer
        serving = {kind: serving_version(config, model_name(config, kind)) for kind in kinds}
        if request.if_missing:
            kinds = tuple(kind for kind in kinds if serving[kind] is None)
    if not kinds:
        return []
    # with more threads the order of a sum, and so its last bits, would differ from run to run
    with threadpool_limits(1):
        return _train(_Run(request, config, serving, begin), kinds)


def _train(run: _Run, kinds: Sequence[Kind]) -> list[Outcome]:
    request = run.request
    augmented, *mirrored = run.load(
        request.data, AS_WORN, *([OTHER_WRIST] if request.mirrored else []), augmented="activity" in kinds
    )
    data = augmented.originals()
    outcomes = []
    classifier: ActivityTraining | None = None
    activities: np.ndarray | None = None
    if "activity" in kinds:
        classifier, outcome = _train_activity(run, augmented, mirrored[0] if mirrored else None)
        activities = _in_place(data, classifier)
        outcomes.append(outcome)
    if "energy" in kinds:
        outcomes.append(_train_energy(run, data, classifier, activities))
    return outcomes


@dataclass(frozen=True)
class _Run:
    """What the steps of one training share. serving : the champion of each kind that may be registered"""

    request: Request
    config: Settings
    serving: Mapping[Kind, ModelVersion | None]
    begin: Begin

    def load(self, data: str, *mirrors: Mirror, augmented: bool = False) -> list[TrainingWindows]:
        return load_windows(
            data,
            self.config,
            devices=self.request.devices,
            minutes=self.request.minutes,
            seed=self.request.seed,
            mirrors=mirrors,
            augmented=augmented,
            progress=self.begin("synthesising readings" if data == "synthetic" else f"reading {data}"),
        )

    def folds(self, data: str) -> int:
        return self.request.folds or (SYNTHETIC_FOLDS if data == "synthetic" else FOLDS)


def _train_activity(
    run: _Run, data: TrainingWindows, mirrored: TrainingWindows | None
) -> tuple[ActivityTraining, Outcome]:
    request = run.request
    rows = np.flatnonzero(data.activity != "")
    if not len(rows):
        raise DataError(f"no window of {request.data} has a known activity; name a source with labels")
    labelled = data.take(rows)
    originals = labelled.originals()
    trained = train_activity(
        labelled,
        run.config,
        families=request.families or MOTION_FAMILIES,
        folds=run.folds(request.data),
        seed=request.seed,
        evaluate_only=request.evaluate_only,
        mirrored=None if mirrored is None else mirrored.take(np.flatnonzero(mirrored.activity != "")),
        progress=run.begin("activity: evaluating on held-out people"),
    )

    def draw(folder: Path) -> None:
        write_baseline(
            folder,
            baseline_of(originals.features, trained.probabilities, trained.card.labels, originals.person),
        )
        write_familiarity(folder, trained.familiarity)
        write_thresholds(folder, trained.thresholds)
        counts = np.array(trained.report.confusion)
        figures.confusion_figure(counts, trained.card.labels, folder / "confusion_matrix.png")
        figures.reliability_figure(trained.probabilities, trained.truth, folder / "reliability.png")

    return trained, _finish("activity", run, trained, labelled, request.data, headline(trained), draw)


def _in_place(data: TrainingWindows, classifier: ActivityTraining) -> np.ndarray:
    """The held-out activity of each window of `data`, '' where the true one is not known."""
    activities = np.full(len(data), "", object)
    activities[data.activity != ""] = classifier.activities()
    return activities


def _train_energy(
    run: _Run, data: TrainingWindows, classifier: ActivityTraining | None, activities: np.ndarray | None
) -> Outcome:
    """Activities : as a classifier that never saw the person predicts them, (len(data),), where one was trained"""
    request, origin = run.request, run.request.data
    labels = classifier.card.labels if classifier is not None else ()
    if not np.isfinite(data.kcal_per_min).any():
        if request.what == "energy":
            raise DataError(
                f"no window of {origin} has a known energy; bring a column `kcal_per_min`, or `--data synthetic`"
            )
        # recordings of people rarely have the energy: the regressor then learns from synthesised people
        (data,), origin, activities = run.load("synthetic", AS_WORN), "synthetic", None
        if classifier is not None and classifier.pipeline is not None:
            # the classifier has seen none of them
            activities = predicted_activities(classifier.pipeline, classifier.card, data)
    if activities is None:
        labels, activities = _held_out_activities(run, data, run.folds(origin))
    rows = np.flatnonzero(np.isfinite(data.kcal_per_min))
    known = data.take(rows)
    trained = train_energy(
        known,
        None if activities is None else activities[rows],
        labels,
        run.config,
        folds=run.folds(origin),
        seed=request.seed,
        evaluate_only=request.evaluate_only,
        progress=run.begin("energy: evaluating on held-out people"),
    )

    def draw(folder: Path) -> None:
        figures.energy_figure(trained.predicted, trained.truth, folder / "energy.png")

    report = trained.report
    headline = {"mae": report.mae, "rmse": report.rmse, "r2": report.r2, "mape": report.mape}
    return _finish("energy", run, trained, known, origin, headline, draw)


def _held_out_activities(
    run: _Run, data: TrainingWindows, folds: int
) -> tuple[tuple[str, ...], np.ndarray | None]:
    """Labels, and activities as a classifier that never saw the person predicts them; none where there are fewer than
    two activities."""
    rows = np.flatnonzero(data.activity != "")
    if len(np.unique(data.activity[rows])) < 2:
        return (), None
    trained = train_activity(
        data.take(rows),
        run.config,
        folds=min(folds, 3),
        seed=run.request.seed,
        evaluate_only=True,
        progress=run.begin("activities for the energy model"),
    )
    return trained.card.labels, _in_place(data, trained)


def _finish(
    kind: Kind,
    run: _Run,
    trained: ActivityTraining | EnergyTraining,
    data: TrainingWindows,
    origin: str,
    headline: dict[str, float],
    draw: Callable[[Path], None],
) -> Outcome:
    """Write the folder of a trained model, and register it where that is requested."""
    request, config, name = run.request, run.config, public_name(origin)
    if trained.pipeline is None:
        return Outcome(kind, name, trained.report)
    if request.folder is not None:
        folder = request.folder / kind
        with folder_beside(folder) as part:
            _write(part, run, trained, data, origin)
            draw(part)
        return Outcome(kind, name, trained.report, folder=str(folder))
    serves = run.serving.get(kind) is not None
    with tempfile.TemporaryDirectory(prefix="activity-model-") as temporary:
        _write(Path(temporary), run, trained, data, origin)
        draw(Path(temporary))
        version = register_folder(
            config,
            kind,
            Path(temporary),
            headline,
            parameters={"data": name, "seed": request.seed, "windows": trained.report.windows},
            tags={"data": name},
            promote=request.promote and not request.never_promote,
            serves=serves or request.never_promote,
            verb="activity train",
            windows=data,
        )
    promoted = not request.never_promote and (request.promote or not serves)
    return Outcome(kind, name, trained.report, version.name, version.version, promoted)


def _write(
    folder: Path, run: _Run, trained: ActivityTraining | EnergyTraining, data: TrainingWindows, origin: str
) -> None:
    """The files of a model and its lineage."""
    request, config, pipeline, report = run.request, run.config, trained.pipeline, trained.report
    assert pipeline is not None
    # how to make the same people again
    recipe = {"devices": request.devices, "minutes": request.minutes, "seed": request.seed}
    write_lineage(
        folder,
        data={
            "source": public_name(origin),
            "sha256": data.sha256(),
            "windows": report.windows,
            "copies": int(data.copied.sum()),
            "people": report.people,
            **(recipe if origin == "synthetic" else {}),
        },
        config={
            "windows": config.windows.model_dump(),
            "models": config.models.model_dump(),
            "scoring": smoothing(config),
            "request": {
                "what": request.what,
                "data": public_name(request.data),
                "families": request.families,
                "mirrored": request.mirrored,
            },
            "seed": request.seed,
            "folds": report.folds,
            "parameters": pipeline["model"].get_params(),
        },
        model_sha256=write_folder(folder, pipeline, trained.card, report.as_json(), config.models),
    )
