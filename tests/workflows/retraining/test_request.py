"""Where a retraining begins: in Airflow, in a process of its own, or not at all."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

from activitymodule.errors import DataError, NotFoundError, RefusedError, ServiceUnavailableError
from activitymodule.settings import Settings
from activitymodule.store.retraining import Run
from activitymodule.workflows.retraining import request
from activitymodule.workflows.retraining.results import Options


class Away:
    """Airflow and the store of a test: whether Airflow is healthy, what it answers, which runs there are."""

    def __init__(self) -> None:
        self.healthy = True
        self.error: Exception | None = None
        self.runs: list[Run] = []
        self.conf: dict[str, Any] = {}
        self.jobs: list[str] = []

    def trigger(self, config: Settings, dag: str, conf: dict[str, Any]) -> str:
        self.conf = conf
        if self.error:
            raise self.error
        return "manual__1"


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Away:
    away = Away()
    monkeypatch.setattr(request, "session", lambda *_, **__: nullcontext())
    monkeypatch.setattr(request.store, "runs", lambda *_, **__: away.runs)
    monkeypatch.setattr(request.airflow, "healthy", lambda _: away.healthy)
    monkeypatch.setattr(request.airflow, "trigger", away.trigger)
    monkeypatch.setattr(request.airflow, "held_back", lambda *_: "")
    monkeypatch.setattr(request, "_start_job", lambda config, run_id, *_: away.jobs.append(run_id))
    return away


def running(touched: float) -> Run:
    now = datetime.now(UTC)
    return Run(
        "run-1", now, None, "ann", "why", {"touched": touched}, "train", "running", 0.5, None, None, None
    )


def test_in_airflow_where_it_is_healthy(away: Away) -> None:
    begun = request.begin(Settings(), Options(force=True), by_whom="ann")
    assert (begun.run_id, begun.through) == ("manual__1", "airflow")
    assert begun.run_id == "manual__1"
    assert away.conf == {
        "force": True, "dry_run": False, "seed": 1, "require_approval": False,
        "why": "started by ann in the console",
    }  # fmt: skip
    assert away.jobs == []


@pytest.mark.parametrize("error", [ServiceUnavailableError("away"), NotFoundError("no DAG"), DataError("no")])
def test_in_a_process_where_airflow_does_not_take_it(away: Away, error: Exception) -> None:
    away.error = error
    begun = request.begin(Settings(), Options(), by_whom="ann", why="drift")
    assert begun.through == "job"
    assert away.jobs == [begun.run_id]
    away.healthy = False
    assert request.begin(Settings(), Options(), by_whom="ann").run_id != begun.run_id


def test_one_at_a_time(away: Away) -> None:
    away.runs = [running(datetime.now(UTC).timestamp() - 10)]
    with pytest.raises(RefusedError):
        request.begin(Settings(), Options(), by_whom="ann")
    # without a sign of life for minutes it is dead, and the check of the new run settles it
    away.runs = [running(datetime.now(UTC).timestamp() - 600)]
    assert request.begin(Settings(), Options(), by_whom="ann").through == "airflow"
