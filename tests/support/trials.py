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
dag = DagBag(given["folder"]).dags[given["dag"]]
when = datetime.fromisoformat(given["at"])
run = dag.test(run_conf=given["conf"], run_after=when, logical_date=when)
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
    """One `dag.test()` of a DAG, in a process of its own."""

    def __init__(self, settings: Settings, dag: str, at: str, log: Path, **conf: Any) -> None:
        given = {"folder": str(dags_folder()), "dag": dag, "at": at, "conf": conf}
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", TRY, json.dumps(given)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment(settings),
                start_new_session=True,
            )

    def result(self) -> dict[str, Any]:
        """run_id, state, and the state of each task."""
        code = self.process.wait(300)
        said = self.log.read_text()
        print(said[-8000:])
        answers = [line.removeprefix(ANSWER) for line in said.splitlines() if line.startswith(ANSWER)]
        assert answers, f"dag.test() ended with code {code}"
        ended: dict[str, Any] = json.loads(answers[-1])
        return ended


def replaced(settings: Settings, **sections: dict[str, Any]) -> Settings:
    """Settings with some keys of some sections replaced, validated anew."""
    tree = reveal(settings)
    for section, keys in sections.items():
        tree[section].update(keys)
    return build(tree)
