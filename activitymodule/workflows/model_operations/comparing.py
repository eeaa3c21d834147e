"""Compare model families on the same held-out people, and let the gate judge the best one."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activitymodule.errors import DataError
from activitymodule.models.comparison import Comparison, FamilyFigures, compare_families
from activitymodule.models.families import TEXTBOOK, classifier_family
from activitymodule.models.figures import comparison_figure
from activitymodule.registry.comparisons import record_comparison
from activitymodule.registry.versions import ModelVersion, champion
from activitymodule.settings import Settings
from activitymodule.store.retraining import who
from activitymodule.workflows import training
from activitymodule.workflows.model_operations.requests import ComparisonRequest
from activitymodule.workflows.requests import TrainingRequest
from activitymodule.workflows.retraining.request import new_run_id
from activitymodule.workflows.retraining.results import Options, Report
from activitymodule.workflows.retraining.run import run_all
from activitymodule.workflows.retraining.training import with_family
from activitymodule.workflows.training_data import load_windows, public_name

COMPARISON_FILE = "comparison.json"
FIGURE_FILE = "comparison.png"
_METRICS = (
    "macro_f1",
    "accuracy",
    "roc_auc",
    "precision",
    "recall",
    "ece",
    "ece_calibrated",
    "fit_seconds",
    "windows_per_second",
    "megabytes",
)


@dataclass(frozen=True)
class Outcome:
    """A comparison. mlflow_run : its run, None where it was not recorded; version : of the winner, and judged : the run
    of the gate on it, where it was to be registered"""

    data: str
    shipped: str
    comparison: Comparison
    mlflow_run: str | None = None
    version: str | None = None
    judged: Report | None = None


def compare(
    request: ComparisonRequest, config: Settings, *, begin: training.Begin = training.silent
) -> Outcome:
    """Compare families on people they have not seen.

    Raises ConfigError for a name that is no family, DataError for data that cannot be used, ServiceUnavailableError
    before the work begins where the registry does not answer.
    """
    shipped = config.models.classifier
    if request.record or request.register:
        champion(config, config.registry.classifier)  # fail now if the registry does not answer
    families = request.families or (*TEXTBOOK, shipped)
    for family in families:
        classifier_family(family)
    name = public_name(request.data)
    (windows,) = load_windows(
        request.data,
        config,
        devices=request.devices,
        minutes=request.minutes,
        seed=request.seed,
        augmented=True,
        progress=begin(f"reading {name}"),
    )
    labelled = windows.take(np.flatnonzero(windows.activity != ""))
    if not len(labelled):
        raise DataError(f"no window of {name} has a known activity; name a source with labels")
    comparison = compare_families(
        labelled,
        config,
        tuple(dict.fromkeys(families)),
        folds=request.folds,
        seed=request.seed,
        jobs=request.jobs,
        progress=begin("training families on folds of people"),
    )
    run = _keep(request, config, name, comparison, labelled.sha256())
    outcome = Outcome(name, shipped, comparison, run)
    return _judged(outcome, request, config, begin) if request.register else outcome


def _keep(
    request: ComparisonRequest, config: Settings, name: str, comparison: Comparison, sha256: str
) -> str | None:
    """Write the files of a comparison, and record it."""
    with tempfile.TemporaryDirectory(prefix="activity-comparison-") as temporary:
        for folder in filter(None, (Path(temporary), request.folder)):
            folder.mkdir(parents=True, exist_ok=True)
            content = {"data": name, "sha256": sha256, **comparison.as_json()}
            (folder / COMPARISON_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            comparison_figure(comparison, folder / FIGURE_FILE)
        if not request.record:
            return None
        parameters = {
            "data": name,
            "sha256": sha256,
            "folds": comparison.folds,
            "people": comparison.people,
            "windows": comparison.windows,
            "seed": request.seed,
            "best": comparison.best,
        }
        families = {one.family: _metrics(one) for one in comparison.families}
        return record_comparison(config, parameters, families, Path(temporary))


def _metrics(figures: FamilyFigures) -> dict[str, float]:
    found = {name: float(getattr(figures, name)) for name in _METRICS}
    found["macro_f1_of_a_person_sd"] = figures.macro_f1_over_people.sd
    if figures.p_value is not None:
        found["p_value"] = figures.p_value
    return found


def _judged(outcome: Outcome, request: ComparisonRequest, config: Settings, begin: training.Begin) -> Outcome:
    """The winner, trained on all people and registered as challenger, with the gate's verdict on it."""
    best = outcome.comparison.best
    own = with_family(
        config.model_copy(update={"learning": config.learning.model_copy(update={"family": best})})
    )
    (trained,) = training.train(
        TrainingRequest(
            what="activity",
            data=request.data,
            seed=request.seed,
            folds=request.folds,
            devices=request.devices,
            minutes=request.minutes,
            never_promote=True,
        ),
        own,
        begin=begin,
    )
    assert trained.version is not None
    report = judge_version(
        config, ModelVersion(config.registry.classifier, trained.version), f"the best of a comparison: {best}"
    )
    return Outcome(
        outcome.data, outcome.shipped, outcome.comparison, outcome.mlflow_run, trained.version, report
    )


def judge_version(config: Settings, version: ModelVersion, why: str) -> Report:
    """Have the gate judge a registered version of the classifier against the champion; it is promoted or rejected.

    Without a champion or enough audit labels it stays registered, and the report says why.
    """
    options = Options(force=True, challenger=version.version)
    return run_all(config, new_run_id(), options, why=why, started_by=who())
