"""The retraining RETRAIN, whole, by `dag.test()` against the embedded stack, with labels in the store's own tables."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from labelling import put_gold_labels, runs_in_store
from trials import replaced

from activitymodule.embedded.processes import wait_until
from activitymodule.orchestration.names import RETRAIN
from activitymodule.registry.versions import ModelVersion, champion, versions
from activitymodule.settings import Settings

pytestmark = pytest.mark.integration


def serving(settings: Settings) -> str:
    found = champion(settings, settings.registry.classifier)
    assert found is not None
    return found.version


def newest(settings: Settings) -> dict[str, Any]:
    """The retraining that is recorded last; there is one that was not needed before it."""
    _, run = runs_in_store(settings)
    return run


def ended_at_its_check(settings: Settings, run: dict[str, Any]) -> str:
    """The reason of a run that its check ended: green, all other tasks skipped."""
    assert run["state"] == "success"
    assert run["tasks"].pop("check") == "success"
    assert set(run["tasks"].values()) == {"skipped"}
    stored = next(one for one in runs_in_store(settings) if one["run_id"] == run["run_id"])
    assert stored["state"] == "unneeded"
    assert stored["summary"]
    return str(stored["parameters"]["steps"]["check"]["reason"])


def test_a_run_ends_at_its_check_and_one_that_failed_and_was_killed_continues_and_promotes(
    airflow_settings: Settings, weak_champion: ModelVersion, try_dag: Callable[..., Any]
) -> None:
    settings, at = airflow_settings, "2026-11-02T03:00:00+00:00"
    put_gold_labels(settings, people=40, minutes=12, seed=2, audit=250, taught=250)
    before = weak_champion.version

    # one that is not needed, and a step that fails for good: the training set cannot be put together
    broken = replaced(settings, learning={"base": "/nowhere/readings.parquet"})
    unneeded = ("2026-11-01T04:00:00+00:00", {"min_labels": 10_000})
    ended, done = try_dag(RETRAIN, at, broken, before=(unneeded,)).results()
    assert ended_at_its_check(settings, ended) == "not_enough_labels"
    assert done["state"] == "failed"
    assert done["tasks"]["snapshot"] == "failed"
    run = newest(settings)
    assert run["state"] == "failed"
    assert "there is no training data at /nowhere/readings.parquet" in run["summary"]
    assert serving(settings) == before

    # the same run again, mended; killed while it trains
    trial = try_dag(RETRAIN, at)

    def trains() -> bool:
        run = newest(settings)
        return (run["step"], run["state"]) == ("train", "running") or trial.process.poll() is not None

    assert wait_until(trains, 400)
    os.killpg(trial.process.pid, signal.SIGKILL)
    trial.process.wait()
    assert serving(settings) == before
    run = newest(settings)
    assert run["state"] == "running"

    # and again: it goes on, and the better model serves
    done = try_dag(RETRAIN, at).result()
    run = newest(settings)
    assert done["run_id"] == run["run_id"]
    assert done["state"] == "success"
    assert (done["tasks"]["report"], done["tasks"]["approval"]) == ("success", "skipped")
    assert run["state"] == "promoted", run["summary"]
    assert run["why"] == "triggered by hand"
    assert run["started_by"].startswith("airflow: ")
    assert serving(settings) == run["challenger"] != before
    assert len(versions(settings, settings.registry.classifier)) == 2
