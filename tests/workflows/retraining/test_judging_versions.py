"""A version that no retraining made: the best family of a comparison, judged by the gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from activitymodule.registry import client
from activitymodule.registry import versions as registry
from activitymodule.registry.versions import ModelVersion
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.retraining import judged_before
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.workflows.model_operations.comparing import compare, judge_version
from activitymodule.workflows.model_operations.requests import ComparisonRequest
from activitymodule.workflows.retraining.results import Reason

pytestmark = pytest.mark.integration


def test_the_best_family_is_registered_and_judged(
    fresh_settings: Settings, serving: ModelVersion, label_some: Callable[..., None], tmp_path: Path
) -> None:
    settings, name = fresh_settings, fresh_settings.registry.classifier
    nothing = judge_version(settings, serving, "to see")
    assert (nothing.state, nothing.steps.check.reason) == ("unneeded", Reason.NOT_ENOUGH_AUDIT)

    label_some(teaching=0, audit=120)
    request = ComparisonRequest(
        families=("decision_tree", "logistic_regression"),
        folds=2,
        devices=6,
        minutes=10,
        jobs=1,
        register=True,
        folder=tmp_path / "comparison",
    )
    outcome = compare(request, settings)
    report = outcome.judged
    assert report is not None
    assert report.state in ("promoted", "rejected"), report.summary
    assert report.challenger == outcome.version
    assert report.steps.snapshot is None, "nothing was trained on labels"
    assert report.steps.gate.challenger == outcome.version
    assert report.steps.evaluate.audit_labels == 120
    version = registry.get(settings, name, outcome.version)
    assert version.tags["verdict"] in ("promote", "reject")
    serves = registry.champion(settings, name).version
    assert serves == (outcome.version if report.state == "promoted" else serving.version)
    # it counts among the verdicts on these labels, once, unless it began them anew
    with session(settings, read_only=True) as connection:
        counted = judged_before(connection, "another", name=name, features_version=FEATURES_VERSION)
    assert counted == (report.state == "rejected")

    # a run of MLflow for the comparison, and one beneath it for each family
    experiment = client.get(settings, "experiments/get-by-name", experiment_name=registry.EXPERIMENT)
    body = {
        "experiment_ids": [experiment["experiment"]["experiment_id"]],
        "filter": f"tags.mlflow.parentRunId = '{outcome.mlflow_run}'",
    }
    beneath = client.post(settings, "runs/search", body)["runs"]
    assert {one["info"]["run_name"] for one in beneath} == set(request.families or ())
    assert {metric["key"] for metric in beneath[0]["data"]["metrics"]} >= {"macro_f1", "ece_calibrated"}
    assert {path.name for path in (tmp_path / "comparison").iterdir()} == {
        "comparison.json",
        "comparison.png",
    }
