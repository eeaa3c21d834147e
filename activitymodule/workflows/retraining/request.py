"""Begin a retraining: through Airflow where it answers, else in a process of its own that outlives a page.

Imports nothing of the training, so that the console starts quickly.
"""

from __future__ import annotations

import json
import logging
import secrets
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from activitymodule.embedded.processes import lower_priority
from activitymodule.errors import ActivityError, RefusedError, ServiceUnavailableError
from activitymodule.orchestration import client as airflow
from activitymodule.orchestration.names import RETRAIN
from activitymodule.settings import Settings, project_root, resolve, reveal
from activitymodule.store import retraining as store
from activitymodule.store.connection import session
from activitymodule.workflows.retraining.results import Options

SILENT_SECONDS = 120
"""A run without a sign of life for so long does not keep a new one from starting; the new one's check settles it."""

log = logging.getLogger(__name__)

_jobs: dict[str, subprocess.Popen[bytes]] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Begun:
    """A retraining that was begun. run_id : its key in retrain_runs; held_back : a sentence, where it starts only
    after another run that waits for approval."""

    run_id: str
    through: Literal["airflow", "job"]
    held_back: str = ""


def new_run_id() -> str:
    """The time and some random digits: ids sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def begin(config: Settings, options: Options, *, by_whom: str, why: str = "") -> Begun:
    """Begin a retraining; takes a moment. Raises RefusedError where one is under way."""
    with session(config, read_only=True) as connection:
        latest = store.runs(connection, limit=5)
    running = [
        run.run_id for run in latest if run.state == "running" and store.idle_seconds(run) < SILENT_SECONDS
    ]
    with _lock:
        alive = [name for name, job in _jobs.items() if job.poll() is None]
    if alive or running:
        raise RefusedError(f"the retraining {(alive + running)[0]} is under way; wait for it to end")
    why = why or f"started by {by_whom} in the console"
    begun = _through_airflow(config, options, why)
    if begun is None:
        begun = Begun(new_run_id(), "job")
        _start_job(config, begun.run_id, options, by_whom, why)
    return begun


def starting(run_id: str) -> bool:
    """Whether a process of this run is alive, though the run may not be in the store yet."""
    with _lock:
        job = _jobs.get(run_id)
    return job is not None and job.poll() is None


def _through_airflow(config: Settings, options: Options, why: str) -> Begun | None:
    """None where Airflow does not answer, or does not take the run."""
    if not airflow.healthy(config):
        return None
    try:
        conf = {**options.model_dump(exclude_none=True), "why": why}
        run_id = airflow.trigger(config, RETRAIN, conf)
    except ServiceUnavailableError:
        return None
    except ActivityError as error:
        # it answers, but without our DAG or our password: a retraining is still possible
        log.warning("Airflow does not take the retraining (%s); it runs in a process of its own", error)
        return None
    try:
        return Begun(run_id, "airflow", airflow.held_back(config, RETRAIN, run_id))
    except ActivityError as error:
        log.warning("cannot determine whether another run holds back %s: %s", run_id, error)
        return Begun(run_id, "airflow")


def _start_job(config: Settings, run_id: str, options: Options, by_whom: str, why: str) -> None:
    folder = resolve(config.local.folder) / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "retrain.log").open("ab") as out:
        job = subprocess.Popen(
            [sys.executable, "-m", "activitymodule.workflows.retraining"],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            cwd=project_root(),
            start_new_session=True,
        )
    lower_priority(job.pid)
    content = {
        "settings": reveal(config),
        "run_id": run_id,
        "options": options.model_dump(),
        "why": why,
        "started_by": by_whom,
    }
    assert job.stdin is not None
    # settings hold passwords: not for arguments, which every user of the machine can read
    job.stdin.write(json.dumps(content).encode())
    job.stdin.close()
    with _lock:
        for name in [name for name, old in _jobs.items() if old.poll() is not None]:
            del _jobs[name]
        _jobs[run_id] = job
