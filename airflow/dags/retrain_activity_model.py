"""Retrain the activity model on what people labelled; promote it only if it is honestly better.

    check -> snapshot -> train -> evaluate -> gate -> promote [-> approval -> settle] -> report

**When it runs**: once a day, whenever enough new labels came (the asset `new_labels`), when drift recommends it, and
whenever somebody triggers it here, from the console or by `activity airflow trigger retrain_activity_model`.
`check` ends a run that is not worth while. Each step is one function of `activitymodule/jobs/retrain.py`, safe to
repeat and keyed by the id of the run: clear the failed task (or `activity airflow rerun`) and the run goes on where it
failed. A run that fails leaves the champion as it is.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    dag,
    task,
)

from activitymodule.errors import ConfigError, DataError, ModelError
from activitymodule.settings import load

log = logging.getLogger(__name__)

SETTINGS = load()
LABELS = Asset(name="new_labels", uri="activity://gold-labels/new", group="activity")
BY_ITSELF = {"scheduled": "its time had come", "asset_triggered": "enough new labels came"}

PARAMS = {
    "min_labels": Param(
        SETTINGS.learning.min_labels,
        type="integer",
        minimum=1,
        title="New labels needed",
        description="So many gold labels must have come since the last retraining. With fewer the run ends at its "
        "check, unless drift recommends a retraining or it is forced.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Retrain in any case",
        description="Go on though there are too few new labels and no drift. The gate judges all the same.",
    ),
    "seed": Param(
        1,
        type="integer",
        minimum=0,
        title="Seed",
        description="Of the training and of the gate's bootstrap: the same labels and the same seed give the same "
        "challenger and the same verdict.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Only try",
        description="Train and judge a challenger, say what would happen, and leave the champion as it is.",
    ),
    "require_approval": Param(
        False,
        type="boolean",
        title="Ask a person first",
        description="A challenger that passed the gate waits until somebody approves it: under Required Actions "
        "here, or with the command activity airflow answer. If nobody does within three days it is not promoted.",
    ),
    # null: the form lets nobody through who leaves a field of text empty
    "why": Param(
        None,
        type=["null", "string"],
        maxLength=500,
        title="Why",
        description="Your reason, kept with the run and with the promotion. May be left empty.",
    ),
}


def _asked(params: Any, dag_run: Any) -> dict[str, Any]:
    """The options of a run, as `check` takes them."""
    kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    return {
        **{name: params[name] for name in ("min_labels", "force", "seed", "dry_run", "require_approval")},
        "why": str(params["why"] or "").strip() or BY_ITSELF.get(kind, "somebody asked for it"),
        "started_by": f"airflow: {dag_run.triggering_user_name or kind}",
    }


def _step(name: str, params: Any, run_id: str, dag_run: Any) -> dict[str, Any]:
    """One step of jobs/retrain. A run that had failed is taken up again first: somebody has cleared the task."""
    from activitymodule.jobs import retrain
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import find_run

    with session(SETTINGS, read_only=True) as connection:
        run = find_run(connection, run_id)
    if run is not None and run.state == "failed":
        retrain.check(SETTINGS, run_id, **{**_asked(params, dag_run), "force": True})
    gave: dict[str, Any] = getattr(retrain, name)(SETTINGS, run_id)
    log.info("%s: %s", name, gave.get("says") or gave)
    return gave


def _failed(context: Any) -> None:
    """Marks the run as failed in the store; the champion is left as it is."""
    from activitymodule.jobs import retrain

    error = context.get("exception") or "its process was killed"
    retrain.fail(SETTINGS, context["run_id"], f"{context['ti'].task_id}: {error}")


@dag(
    dag_id="retrain_activity_model",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(SETTINGS.airflow.retrain, timezone="UTC"), assets=[LABELS]
    )
    if SETTINGS.airflow.retrain
    else [LABELS],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(days=4),
    params=PARAMS,
    tags=["activity", "learning"],
    doc_md=__doc__,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": 3.0,
        "max_retry_delay": timedelta(minutes=10),
        # what will be as wrong the next time is not tried again
        "retry_policy": ExceptionRetryPolicy(
            rules=[RetryRule([ConfigError, DataError, ModelError], action=RetryAction.FAIL)]
        ),
        "execution_timeout": timedelta(hours=3),
        "on_failure_callback": _failed,
    },
)
def retrain_activity_model() -> None:
    @task.short_circuit
    def check(params: Any = None, run_id: Any = None, dag_run: Any = None) -> bool:
        """Enough new labels, or drift, or forced? Else the run ends here."""
        from activitymodule.jobs import retrain

        found = retrain.check(SETTINGS, run_id, **_asked(params, dag_run))
        log.info("%s", found["says"])
        return bool(found["needed"])

    @task
    def snapshot(params: Any = None, run_id: Any = None, dag_run: Any = None) -> dict[str, Any]:
        """The training set, kept under the SHA-256 of its content."""
        return _step("snapshot", params, run_id, dag_run)

    @task
    def train(params: Any = None, run_id: Any = None, dag_run: Any = None) -> dict[str, Any]:
        """A challenger by the champion's recipe, registered."""
        return _step("train", params, run_id, dag_run)

    @task
    def evaluate(params: Any = None, run_id: Any = None, dag_run: Any = None) -> dict[str, Any]:
        """Champion and challenger answer for the audit windows, loaded as the scorer loads them."""
        return _step("evaluate", params, run_id, dag_run)

    @task
    def gate(params: Any = None, run_id: Any = None, dag_run: Any = None) -> dict[str, Any]:
        """The verdict, with every figure."""
        return _step("gate", params, run_id, dag_run)

    @task
    def promote(params: Any = None, run_id: Any = None, dag_run: Any = None) -> dict[str, Any]:
        """Acts on the verdict: the alias moves, or the challenger is turned away, or a person is asked."""
        return _step("promote", params, run_id, dag_run)

    @task.branch
    def must_be_asked(done: dict[str, Any]) -> str:
        return "approval" if done["state"] == "waiting" else "report"

    # not ApprovalOperator: it skips what follows a no, and loses who said it
    approval = HITLOperator(
        task_id="approval",
        options=["Approve", "Reject"],
        subject="Promote version {{ ti.xcom_pull(task_ids='train')['challenger'] }} of the activity model?",
        body="""\
{{ ti.xcom_pull(task_ids='gate')['says'] }}

{% for check in ti.xcom_pull(task_ids='gate')['checks'] -%}
- {{ 'passed' if check['passed'] else '**not passed**' }}: {{ check['says'] }}
{% endfor %}
It would take the place of version {{ ti.xcom_pull(task_ids='gate')['champion'] }}. Run {{ run_id }}.""",
        response_timeout=timedelta(days=3),
        defaults="Reject",
        execution_timeout=None,
    )

    @task
    def settle(run_id: Any = None, ti: Any = None) -> dict[str, Any]:
        """Somebody said yes: the alias moves. No, or no answer in time: the challenger is turned away."""
        from activitymodule.jobs import airflow_tasks, retrain

        said = ti.xcom_pull(task_ids="approval")
        by = said["responded_by_user"]
        by_whom = f"airflow: {by['name']}" if by else "airflow: nobody answered"
        if said["chosen_options"] == ["Approve"]:
            return retrain.promote(SETTINGS, run_id, dry_run=False, approved_by=by_whom)
        return airflow_tasks.turn_away(SETTINGS, run_id, by_whom)

    @task(trigger_rule="none_failed_min_one_success")
    def report(run_id: Any = None) -> dict[str, Any]:
        """All that is known of the run."""
        from activitymodule.jobs import retrain

        told = retrain.report(SETTINGS, run_id)
        log.info("%s: %s", told["state"], told["summary"])
        return {name: told[name] for name in ("run_id", "state", "summary", "challenger", "snapshot_id")}

    done = promote()
    asked, told = must_be_asked(done), report()
    check() >> snapshot() >> train() >> evaluate() >> gate() >> done >> asked
    asked >> approval >> settle() >> told
    asked >> told


retrain_activity_model()
