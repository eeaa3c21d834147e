"""The retraining DAG, whole, by `dag.test()` against the embedded stack, with labels in the store's own tables."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from labelling import put_gold_labels, runs_in_store
from trials import replaced

from activitymodule.embedded.processes import wait_until
from activitymodule.registry.versions import ModelVersion, champion, versions
from activitymodule.settings import Settings

pytestmark = pytest.mark.integration

DAG = "retrain_activity_model"


def serving(settings: Settings) -> str:
    found = champion(settings, settings.registry.classifier)
    assert found is not None
    return found.version


def test_without_labels_the_run_ends_at_its_check(
    airflow_settings: Settings, weak_champion: ModelVersion, try_dag: Callable[..., Any]
) -> None:
    told = try_dag(DAG, "2026-11-01T03:00:00+00:00").result()
    assert told["state"] == "success"
    assert told["tasks"].pop("check") == "success"
    assert set(told["tasks"].values()) == {"skipped"}
    (run,) = runs_in_store(airflow_settings)
    assert (run["run_id"], run["state"]) == (told["run_id"], "unneeded")
    assert serving(airflow_settings) == weak_champion.version


def test_a_run_that_failed_and_was_killed_goes_on_and_promotes(
    airflow_settings: Settings, weak_champion: ModelVersion, try_dag: Callable[..., Any]
) -> None:
    settings, at = airflow_settings, "2026-11-02T03:00:00+00:00"
    put_gold_labels(settings, people=40, minutes=12, seed=2, audit=250, taught=250)
    before = weak_champion.version

    # a step that fails for good: the training set cannot be put together
    broken = replaced(settings, learning={"base": "/nowhere/readings.parquet"})
    told = try_dag(DAG, at, broken).result()
    assert told["state"] == "failed"
    assert told["tasks"]["snapshot"] == "failed"
    (run,) = runs_in_store(settings)
    assert run["state"] == "failed"
    assert "there is no training data at /nowhere/readings.parquet" in run["summary"]
    assert serving(settings) == before

    # the same run again, mended; killed while it trains
    trial = try_dag(DAG, at)

    def trains() -> bool:
        (run,) = runs_in_store(settings)
        return (run["step"], run["state"]) == ("train", "running") or trial.process.poll() is not None

    assert wait_until(trains, 120)
    os.killpg(trial.process.pid, signal.SIGKILL)
    trial.process.wait()
    assert serving(settings) == before
    (run,) = runs_in_store(settings)
    assert run["state"] == "running"

    # and again: it goes on, and the better model serves
    told = try_dag(DAG, at).result()
    (run,) = runs_in_store(settings)
    assert told["run_id"] == run["run_id"]
    assert told["state"] == "success"
    assert (told["tasks"]["report"], told["tasks"]["approval"]) == ("success", "skipped")
    assert run["state"] == "promoted", run["summary"]
    assert run["why"] == "somebody asked for it"
    assert run["started_by"].startswith("airflow: ")
    assert serving(settings) == run["challenger"] != before
    assert len(versions(settings, settings.registry.classifier)) == 2
