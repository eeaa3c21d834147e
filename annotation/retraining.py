"""Begin a retraining: through Airflow where it answers, else as a process of its own that outlives a page."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any, Literal

from activitymodule import settings as config
from activitymodule.errors import ActivityError, RefusedError, ServiceUnavailableError
from activitymodule.settings import Settings

DAG = "retrain_activity_model"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Begun:
    """A retraining that was begun: `run_id` finds it in retrain_runs. held_back : a sentence, where it does not begin
    before another run has its answer."""

    run_id: str
    through: Literal["airflow", "job"]
    held_back: str = ""


_jobs: dict[str, subprocess.Popen[bytes]] = {}
_lock = threading.Lock()


def begin(
    settings: Settings,
    *,
    by_whom: str,
    why: str,
    force: bool = False,
    dry_run: bool = False,
    min_labels: int | None = None,
    seed: int = 1,
    require_approval: bool = False,
) -> Begun:
    """Begin a retraining; blocks for a moment. Raises RefusedError where one is under way."""
    from activitymodule.jobs.retrain import new_run_id
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import runs

    with session(settings, read_only=True) as connection:
        now = next((run for run in runs(connection, limit=5) if run.state == "running"), None)
    with _lock:
        alive = [name for name, job in _jobs.items() if job.poll() is None]
    if alive or (now is not None and _fresh(now)):
        name = alive[0] if alive else now.run_id if now else ""
        raise RefusedError(f"the retraining {name} is under way; wait for it to end")
    asked: dict[str, Any] = {
        "force": force,
        "dry_run": dry_run,
        "seed": seed,
        "require_approval": require_approval,
        "why": why or f"asked for by {by_whom} in the console",
    }
    if min_labels is not None:
        asked["min_labels"] = min_labels
    through_airflow = _through_airflow(settings, asked)
    if through_airflow is not None:
        return Begun(through_airflow, "airflow", _held_back(settings, through_airflow))
    run_id = new_run_id()
    _start_job(settings, run_id, {**asked, "started_by": by_whom})
    return Begun(run_id, "job")


def _fresh(run: Any) -> bool:
    """Whether a run that says it runs was heard of lately; one that died is settled by the next."""
    from activitymodule.store.retraining import idle_seconds

    return idle_seconds(run) < 120


def _through_airflow(settings: Settings, asked: dict[str, Any]) -> str | None:
    from activitymodule.orchestration.client import healthy, trigger

    try:
        if not healthy(settings):
            return None
        return trigger(settings, DAG, asked)
    except ServiceUnavailableError:
        return None
    except ActivityError as error:
        # it is there, but without our DAG or our password: a retraining is still possible
        log.warning("Airflow does not take the retraining (%s); it runs as a local job", error)
        return None


def _held_back(settings: Settings, run_id: str) -> str:
    from activitymodule.orchestration.client import held_back

    try:
        return held_back(settings, DAG, run_id)
    except ActivityError as error:
        log.warning("whether another run holds back %s is not known: %s", run_id, error)
        return ""


def _start_job(settings: Settings, run_id: str, asked: dict[str, Any]) -> None:
    folder = config.resolve(settings.local.folder) / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "retrain.log").open("ab") as out:
        job = subprocess.Popen(
            [sys.executable, "-m", "annotation.retraining"],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            cwd=config.project_root(),
            start_new_session=True,
        )
    assert job.stdin is not None
    # settings hold passwords: not for arguments, which every user of the machine can read
    job.stdin.write(
        json.dumps({"settings": config.reveal(settings), "run_id": run_id, "asked": asked}).encode()
    )
    job.stdin.close()
    with _lock:
        for name in [name for name, old in _jobs.items() if old.poll() is not None]:
            del _jobs[name]
        _jobs[run_id] = job


def starting(run_id: str) -> bool:
    """Whether a local job of this run is alive, though it may not be in the store yet."""
    with _lock:
        job = _jobs.get(run_id)
    return job is not None and job.poll() is None


def main() -> int:
    from activitymodule.jobs.retrain import run_all

    given = json.loads(sys.stdin.read())
    settings = config.build(given["settings"])
    try:
        done = run_all(settings, given["run_id"], **given["asked"])
    except ActivityError as error:
        print(f"retrain {given['run_id']}: {error}", flush=True)
        return error.exit_code
    print(f"retrain {given['run_id']}: {done['state']}: {done['summary']}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
