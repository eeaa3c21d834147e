"""What every DAG file must hold, looked at as Airflow's DAG processor sees it: without a service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from activitymodule.embedded.airflow_configuration import dags_folder
from activitymodule.orchestration.names import LABELS, RETRAIN
from activitymodule.settings import project_root

LOOK = """
import inspect, json, sys
from activitymodule.errors import ConfigError
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

bag = DagBag(sys.argv[1])
found = {"errors": bag.import_errors, "files": len(bag.dagbag_stats), "dags": {}}
for dag in bag.dags.values():
    found["dags"][dag.dag_id] = {
        "runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "doc": dag.doc_md,
        "params": {name: dag.params.get_param(name).serialize() for name in dag.params},
        "assets": [asset.name for asset in dag.timetable.asset_condition.objects]
        if getattr(dag.timetable, "asset_condition", None) else [],
        "outlets": [asset.name for one in dag.tasks for asset in one.outlets],
        "tasks": {one.task_id: {
            "retries": one.retries, "back_off": one.retry_exponential_backoff,
            "callback": bool(one.on_failure_callback), "after": sorted(one.downstream_task_ids),
        } for one in dag.tasks},
        "size": len(json.dumps(DagSerialization.to_dict(dag))),
    }
heavy = ("pyspark", "sklearn", "mlflow", "psycopg2", "kafka", "numpy", "pandas", "pyarrow", "lightgbm")
found["heavy"] = [name for name in heavy if name in sys.modules]
found["refusals"] = {}
for dag in bag.dags.values():
    for one in dag.roots:
        if "params" not in inspect.signature(one.python_callable).parameters:
            continue
        try:
            one.python_callable(params={**dag.params.dump(), "forse": True})
        except ConfigError as error:
            found["refusals"][dag.dag_id] = str(error)
found["ours"] = sorted(name for name in sys.modules if name.startswith("activitymodule"))
print("ANSWER " + json.dumps(found))
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("airflow")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("ACTIVITY_", "AIRFLOW_"))}
    nobody = {
        "ACTIVITY_HOME": str(project_root()),
        "ACTIVITY_STORE__PORT": "1",
        "ACTIVITY_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "ACTIVITY_REGISTRY__URI": "http://127.0.0.1:1",
    }
    ours = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(dags_folder())],
        env={**kept, **nobody, **ours},
        capture_output=True,
        text=True,
        check=False,
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    assert answers, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(answers[-1].removeprefix("ANSWER "))
    return found


def test_every_file_is_read_and_no_more_dags_are_there(bag: dict[str, Any]) -> None:
    assert bag["errors"] == {}
    assert set(bag["dags"]) == {
        RETRAIN,
        "watch_labels",
        "drift_report",
        "refresh_statistics",
        "retention",
        "assign_personas",
        "build_days",
        "preprocess_on_emr",
        "load_warehouse",
    }
    assert bag["files"] == len(bag["dags"])


def test_reading_them_is_light(bag: dict[str, Any]) -> None:
    """The DAG processor reads them every minute: nothing heavy, nothing of ours but settings, errors and names."""
    assert bag["heavy"] == []
    assert {name.split(".")[1] for name in bag["ours"] if "." in name} == {
        "errors",
        "orchestration",
        "settings",
    }


def test_no_file_makes_a_package_that_would_hide_airflow() -> None:
    assert list(dags_folder().parent.rglob("__init__.py")) == []
    assert not (Path(__file__).parents[1] / "airflow").exists()


def test_one_run_at_a_time_and_none_for_the_past(bag: dict[str, Any]) -> None:
    for name, dag in bag["dags"].items():
        assert (dag["runs"], dag["catchup"]) == (1, False), name


def test_every_param_is_a_described_field_of_the_form(bag: dict[str, Any]) -> None:
    for dag in bag["dags"].values():
        assert dag["doc"]
        for name, param in dag["params"].items():
            assert len(param["description"]) > 20, name
            assert param["schema"]["title"], name
            # the form does not accept an empty text
            if param["value"] in (None, ""):
                assert param["schema"]["type"] == ["null", "string"], name
            else:
                assert param["schema"]["type"] in ("boolean", "integer", "number"), name
    assert set(bag["dags"][RETRAIN]["params"]) == {
        "min_labels",
        "force",
        "seed",
        "dry_run",
        "require_approval",
        "why",
    }


def test_every_task_is_retried_with_back_off(bag: dict[str, Any]) -> None:
    for dag in bag["dags"].values():
        for name, one in dag["tasks"].items():
            # asking for a run of another DAG is at once done or wrong
            assert one["retries"] >= 2, name
            assert one["back_off"] >= 2, name


def test_the_retraining_is_one_line_of_steps_with_a_callback_on_failure(bag: dict[str, Any]) -> None:
    tasks = bag["dags"][RETRAIN]["tasks"]
    assert all(one["callback"] for one in tasks.values())
    assert {name: one["after"] for name, one in tasks.items()} == {
        "check": ["snapshot"],
        "snapshot": ["train"],
        "train": ["evaluate"],
        "evaluate": ["gate"],
        "gate": ["promote"],
        "promote": ["must_be_asked"],
        "must_be_asked": ["approval", "report"],
        "approval": ["settle"],
        "settle": ["report"],
        "report": [],
    }


def test_a_param_that_a_dag_does_not_have_is_refused(bag: dict[str, Any]) -> None:
    """Before the first task does anything: a mistyped `dry_run` deletes nothing."""
    assert bag["refusals"].keys() == bag["dags"].keys()
    assert all("'forse'" in said for said in bag["refusals"].values())
    assert "did you mean force?" in bag["refusals"][RETRAIN]


def test_new_labels_trigger_the_retraining(bag: dict[str, Any]) -> None:
    assert bag["dags"][RETRAIN]["assets"] == [LABELS]
    assert bag["dags"]["watch_labels"]["outlets"] == [LABELS]
