"""`dag.test()` in a process of its own: Airflow reads its configuration when it is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from activitymodule.embedded.airflow_configuration import dags_folder
from activitymodule.settings import Settings, build, environment_of, reveal

ANSWER = "ANSWER "

TRY = """
import json, sys
from datetime import datetime
from airflow.dag_processing.dagbag import DagBag

given = json.loads(sys.argv[1])
for at, conf in given["runs"]:
    # a run leaves its Params in the DAG
    dag = DagBag(given["folder"]).dags[given["dag"]]
    when = datetime.fromisoformat(at)
    run = dag.test(run_conf=conf, run_after=when, logical_date=when)
    states = {one.task_id: str(one.state) for one in run.get_task_instances()}
    print("ANSWER " + json.dumps({"run_id": run.run_id, "state": str(run.state), "tasks": states}))
"""


def environment(settings: Settings) -> dict[str, str]:
    """Of a process of Airflow's with just these settings."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("ACTIVITY_", "AIRFLOW_"))}
    return {
        **kept,
        **environment_of(settings),
        "AIRFLOW_HOME": settings.airflow.folder,
        "OMP_NUM_THREADS": "1",
    }


class Trial:
    """`dag.test()` of a DAG, in a process of its own: runs of a logical date and Params, one after the other."""

    def __init__(
        self, settings: Settings, dag: str, runs: list[tuple[str, dict[str, Any]]], log: Path
    ) -> None:
        given = {"folder": str(dags_folder()), "dag": dag, "runs": runs}
        self.log, self._runs = log, len(runs)
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", TRY, json.dumps(given)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment(settings),
                start_new_session=True,
            )

    def results(self) -> list[dict[str, Any]]:
        """run_id, state, and the state of each task, of each run."""
        code = self.process.wait(300)
        said = self.log.read_text()
        print(said[-8000:])
        answers = [line.removeprefix(ANSWER) for line in said.splitlines() if line.startswith(ANSWER)]
        assert len(answers) == self._runs, f"dag.test() ended with code {code}"
        return [json.loads(answer) for answer in answers]

    def result(self) -> dict[str, Any]:
        """That of the last run."""
        return self.results()[-1]


def replaced(settings: Settings, **sections: dict[str, Any]) -> Settings:
    """Settings with some keys of some sections replaced, validated anew."""
    tree = reveal(settings)
    for section, keys in sections.items():
        tree[section].update(keys)
    return build(tree)
