"""Results of steps as they are stored, of this version and of the one before, and as lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from activitymodule.errors import RefusedError
from activitymodule.jobs.retrain import lines_of
from activitymodule.store.retraining import Run
from activitymodule.workflows.retraining.promoting import approval_command
from activitymodule.workflows.retraining.record import required, saved
from activitymodule.workflows.retraining.results import GateResult, Options, Reason, SnapshotResult
from activitymodule.workflows.retraining.run import report_of

PER_LABEL = {
    "windows": 40, "people": 5, "champion": 0.5, "challenger": 0.75, "champion_hits": 20.0, "challenger_hits": 30.0,
    "champion_f1": 0.4, "challenger_f1": 0.6, "high": 0.2,
}  # fmt: skip
CHANGE = {
    "champion": 0.6, "challenger": 0.7, "value": 0.1, "se": 0.02, "low": 0.05, "high": 0.15, "p": 0.01,
    "percentile_low": 0.06,
}  # fmt: skip
FIGURES = {
    "labels": 70, "people": 6, "judged_before": 1, "effective_people": 5.5, "alpha": 0.025, "resamples": 2000,
    "macro_f1": CHANGE, "accuracy": {"champion": 0.6, "challenger": 0.7}, "ece": CHANGE,
    "per_label": {"walking": PER_LABEL}, "unknown_to_both": [],
}  # fmt: skip
# of retrain_runs.parameters, as version 0.1.0 wrote it
STORED = {
    "asked": {"min_labels": 50, "force": True, "dry_run": False, "seed": 2, "require_approval": True},
    "touched": 1764400000.0,
    "whole": True,
    "steps": {
        "check": {
            "needed": True, "says": "asked for: 50 new labels", "labels": 50, "labels_in_all": 60,
            "audit_labels": 70, "audit_people": 6, "judged_before": 1, "disputed": 0, "without_features": 2,
            "other_features": 3, "drift": None, "champion": "1",
        },
        "snapshot": {
            "snapshot_id": "ab12", "place": "training/snapshot-ab12.json", "written": True, "windows": 1200,
            "labels": 48, "people": 13, "newest_label": "2026-11-28 10:00:00.5+00:00",
            "left_out": {"audit share: judges, never teaches": 70}, "labels_added": [], "spread": 0,
            "base": {
                "setting": "champion", "source": "synthetic", "sha256": "cd34", "same": True, "devices": 3,
                "minutes": 10, "seed": 3, "says": "synthetic",
            },
            "features_version": "v1",
        },
        "train": {"challenger": "2", "seed": 2, "metrics": {"macro_f1": 0.8}},
        "evaluate": {
            "audit_labels": 70, "audit_people": 6, "audit_until": None, "place": "training/runs/r.npz",
            "champion": {"version": "1", "labels": ["a", "b"], "megabytes": 1.0, "windows_per_second": 900.0,
                         "refusal": None, "too_large": None},
            "challenger": {"version": "2", "refusal": "it does not load", "labels": []},
        },
        "gate": {
            "at": "2026-11-28T10:05:00+00:00", "verdict": "promote", "says": "version 2 is better",
            "figures": FIGURES,
            "checks": [{"name": "loads", "passed": True, "says": "it loads", "figures": {}},
                       {"name": "better", "passed": False, "says": "not above chance", "figures": {}}],
            "champion": "1", "challenger": "2",
        },
    },
}  # fmt: skip


def run(started_by: str = "ann", **parameters: Any) -> Run:
    begun = datetime(2026, 11, 28, 10, tzinfo=UTC)
    return Run(
        "run-1", begun, None, started_by, "why", parameters or STORED, "promote", "waiting", 1.0,
        "waits", "ab12", "2",
    )  # fmt: skip


def test_what_the_version_before_stored_is_read() -> None:
    report = report_of(run())
    assert report.options == Options(min_labels=50, force=True, seed=2, require_approval=True)
    steps = report.steps
    assert steps.check is not None
    assert steps.check.summary == "asked for: 50 new labels"
    assert (steps.check.verdicts_on_same_labels, steps.check.reason) == (1, Reason.UNKNOWN)
    assert steps.snapshot is not None
    assert steps.snapshot.newest_label == datetime(2026, 11, 28, 10, 0, 0, 500_000, tzinfo=UTC)
    assert steps.snapshot.base.summary == "synthetic"
    assert steps.snapshot.base.lineage() == {
        "source": "synthetic", "sha256": "cd34", "devices": 3, "minutes": 10, "seed": 3,
    }  # fmt: skip
    assert steps.evaluate is not None
    assert steps.evaluate.challenger.refusal == "it does not load"
    assert steps.gate is not None
    assert [check.message for check in steps.gate.checks] == ["it loads", "not above chance"]
    assert steps.gate.per_label["walking"].challenger == 0.75


def test_a_result_comes_back_from_the_store_as_it_was() -> None:
    old = report_of(run())
    stored = json.loads(json.dumps(old.steps.model_dump(mode="json")))
    assert "says" not in json.dumps(stored)
    assert report_of(run(options=old.options.model_dump(), steps=stored)).steps == old.steps


def test_a_result_that_is_missing_or_broken() -> None:
    assert saved(run(steps={}), "gate", GateResult) is None
    with pytest.raises(RefusedError):
        required(run(steps={}), "snapshot", SnapshotResult)
    with pytest.raises(ValidationError):
        saved(run(steps={"gate": {"verdict": "perhaps"}}), "gate", GateResult)


def test_a_run_as_lines() -> None:
    lines = lines_of(report_of(run()))
    assert lines[0] == "run-1  waiting  (by ann: why)"
    assert "  trained on 1,200 windows, 48 labels: ab12" in lines
    assert "  yes  loads: it loads" in lines
    assert "  NO   better: not above chance" in lines


def test_a_run_of_airflow_is_approved_there() -> None:
    assert approval_command(run()) == "activity retrain approve run-1"
    assert approval_command(run("airflow: bob")) == "activity airflow answer retrain_activity_model run-1"
