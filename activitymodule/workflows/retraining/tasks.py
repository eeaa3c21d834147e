"""The steps as tasks of Airflow: Params and the answer to the approval in, what XCom keeps out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from activitymodule.orchestration.names import STARTED_BY, XCom
from activitymodule.settings import Settings
from activitymodule.store import retraining as store
from activitymodule.store.connection import session
from activitymodule.workflows.retraining import promoting, run, steps
from activitymodule.workflows.retraining.ending import fail
from activitymodule.workflows.retraining.results import Options

__all__ = ["check", "fail", "report", "settle", "step"]

BY_KIND = {"scheduled": "on schedule", "asset_triggered": "enough new labels"}
"""The reason of a run that nobody triggered, by Airflow's kind of run."""

log = logging.getLogger(__name__)


def check(
    config: Settings, run_id: str, params: Mapping[str, Any], dag_run: Any, *, force: bool = False
) -> XCom:
    """The check, with the Params of the run; force : whatever they say."""
    kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    # a DAG trains its challenger: it is no Param
    options = Options(**{name: params[name] for name in Options.model_fields if name != "challenger"})
    result = steps.check(
        config,
        run_id,
        options.model_copy(update={"force": True}) if force else options,
        why=str(params["why"] or "").strip() or BY_KIND.get(kind, "triggered by hand"),
        started_by=f"{STARTED_BY}{dag_run.triggering_user_name or kind}",
    )
    log.info("%s", result.summary)
    return result.model_dump(mode="json")


def step(name: str, config: Settings, run_id: str, params: Mapping[str, Any], dag_run: Any) -> XCom:
    """A step after the check. A run that had failed begins anew first: somebody has cleared the task."""
    with session(config, read_only=True) as connection:
        known = store.find_run(connection, run_id)
    if known is not None and known.state == "failed":
        check(config, run_id, params, dag_run, force=True)
    result = getattr(steps, name)(config, run_id).model_dump(mode="json")
    log.info("%s: %s", name, result.get("summary") or result)
    return dict(result)


def settle(config: Settings, run_id: str, answer: Mapping[str, Any]) -> XCom:
    """Act on the answer to the approval, or on its absence; answer : what Airflow's HITLOperator returns."""
    user = answer["responded_by_user"]
    by_whom = f"{STARTED_BY}{user['name']}" if user else f"{STARTED_BY}nobody answered"
    if answer["chosen_options"] == ["Approve"]:
        result = promoting.promote(config, run_id, dry_run=False, approved_by=by_whom)
    else:
        result = promoting.reject(config, run_id, by_whom)
    return result.model_dump(mode="json")


def report(config: Settings, run_id: str) -> XCom:
    """The end of the run."""
    found = run.report(config, run_id)
    log.info("%s: %s", found.state, found.summary)
    return found.model_dump(mode="json", include={"run_id", "state", "summary", "challenger", "snapshot_id"})
