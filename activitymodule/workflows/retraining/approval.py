"""What a person decides about a run: approve it, or abandon it."""

from __future__ import annotations

from activitymodule.errors import ConfigError, RefusedError
from activitymodule.orchestration import client as airflow
from activitymodule.orchestration.names import RETRAIN
from activitymodule.settings import Settings
from activitymodule.store import retraining as store
from activitymodule.store.connection import session
from activitymodule.store.locks import retrain_lease
from activitymodule.workflows.retraining.ending import fail
from activitymodule.workflows.retraining.promoting import approval_command, by_airflow, promote
from activitymodule.workflows.retraining.results import PromotionResult


def waiting(config: Settings) -> list[store.Run]:
    """Runs that wait for approval, newest first."""
    with session(config, read_only=True) as connection:
        return [run for run in store.runs(connection) if run.state == "waiting"]


def approve(config: Settings, run_id: str, *, by_whom: str) -> PromotionResult:
    """Promote the challenger of a run that waits for approval. run_id : or the beginning of it

    Raises RefusedError where the run does not wait, waits in Airflow, or another version is champion meanwhile.
    """
    run = _run(config, run_id)
    if run.state != "waiting":
        raise RefusedError(f"the retraining {run.run_id} does not wait for approval: it is {run.state}")
    _refuse_while_airflow_waits(config, run, approval_command(run))
    return promote(config, run.run_id, dry_run=False, approved_by=by_whom)


def abandon(config: Settings, run_id: str, *, by_whom: str) -> str:
    """End a run that waits, or whose process is gone; its full id. run_id : or the beginning of it

    Raises RefusedError where the run has ended, waits in Airflow, or a process holds its lock.
    """
    run = _run(config, run_id)
    if run.state not in ("running", "waiting"):
        raise RefusedError(f"the retraining {run.run_id} has ended already: it is {run.state}")
    _refuse_while_airflow_waits(config, run, f"{approval_command(run)} --reject")
    with retrain_lease(config, run.run_id):
        fail(config, run.run_id, f"abandoned by {by_whom}")
    return run.run_id


def _run(config: Settings, run_id: str) -> store.Run:
    with session(config, read_only=True) as connection:
        return store.get_run(connection, run_id)


def _refuse_while_airflow_waits(config: Settings, run: store.Run, command: str) -> None:
    """A run decided here would go on to wait in Airflow, for days, and block the next one. Where Airflow does not
    answer the run may be decided here."""
    if run.state != "waiting" or not by_airflow(run) or not airflow.healthy(config):
        return
    try:
        over = airflow.run_of(config, RETRAIN, run.run_id).over
    except ConfigError:  # another Airflow began it, or its run was deleted there
        return
    if not over:
        raise RefusedError(f"the retraining {run.run_id} waits in Airflow; `{command}` decides it there")
