"""Retrain the activity model on gold labels; promote it only if it is significantly better.

    check -> snapshot -> train -> evaluate -> gate -> promote [-> approval -> settle] -> report

**When it runs**: once a day, when there are enough new labels (the asset `new_labels`), when drift monitoring
recommends it, and when somebody triggers it here, from the console or by
`activity airflow trigger retrain_activity_model`. `check` ends a run that is not needed, with the reason, and the other
tasks are skipped. Each task is one function of `activitymodule/workflows/retraining/`, safe to repeat and keyed by the
id of the run: clear the failed task (or `activity airflow rerun`) and the run continues where it failed. A run that
fails leaves the champion as it is.
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
    Param,
    dag,
    task,
)

from activitymodule.orchestration.names import APPROVAL, LABELS, LABELS_URI, RETRAIN, XCom
from activitymodule.orchestration.params import refuse_unknown
from activitymodule.orchestration.retries import retries
from activitymodule.settings import load

log = logging.getLogger(__name__)

CONFIG = load()
NEW_LABELS = Asset(name=LABELS, uri=LABELS_URI, group="activity")

PARAMS = {
    "min_labels": Param(
        CONFIG.learning.min_labels,
        type="integer",
        minimum=1,
        title="New labels needed",
        description="Gold labels that must be new since the last retraining. With fewer the run ends at its check, "
        "unless drift monitoring recommends a retraining or the threshold is ignored.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Ignore the label threshold",
        description="Retrain although there are too few new labels and no drift. The gate decides as always.",
    ),
    "seed": Param(
        1,
        type="integer",
        minimum=0,
        maximum=2**31 - 1,
        title="Seed",
        description="Of the training and of the gate's bootstrap: the same labels and the same seed give the same "
        "challenger and the same verdict.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Train and evaluate a challenger and report the verdict; the champion stays.",
    ),
    "require_approval": Param(
        False,
        type="boolean",
        title="Require approval",
        description="A challenger that passed the gate waits until somebody approves it: under Required Actions "
        "here, or with the command activity airflow answer. After three days without an answer it is rejected.",
    ),
    # null: the form does not accept an empty text
    "why": Param(
        None,
        type=["null", "string"],
        maxLength=500,
        title="Reason",
        description="Your reason, kept with the run and with the promotion. May be left empty.",
    ),
}


def _retraining() -> Any:
    """The tasks' functions."""
    # scikit-learn, LightGBM and PyArrow take seconds, and the DAG processor reads this file every minute
    from activitymodule.workflows.retraining import tasks

    return tasks


def _failed(context: Any) -> None:
    """Marks the run as failed in the store; the champion stays."""
    error = context.get("exception") or "its process was killed"
    _retraining().fail(CONFIG, context["run_id"], f"{context['ti'].task_id}: {error}")


QUESTION = """\
{{ ti.xcom_pull(task_ids='gate')['summary'] }}

{% for check in ti.xcom_pull(task_ids='gate')['checks'] -%}
- {{ 'passed' if check['passed'] else '**not passed**' }}: {{ check['message'] }}
{% endfor %}
It would replace version {{ ti.xcom_pull(task_ids='gate')['champion'] }}. Run {{ run_id }}."""


@dag(
    dag_id=RETRAIN,
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(CONFIG.airflow.retrain, timezone="UTC"), assets=[NEW_LABELS]
    )
    if CONFIG.airflow.retrain
    else [NEW_LABELS],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(days=4),
    params=PARAMS,
    tags=["activity", "learning"],
    doc_md=__doc__,
    default_args={
        **retries(3, pause=timedelta(seconds=10), growth=3.0),
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(hours=3),
        "on_failure_callback": _failed,
    },
)
def retrain_activity_model() -> None:
    """The DAG."""

    @task.short_circuit
    def check(params: Any = None, run_id: Any = None, dag_run: Any = None, ti: Any = None) -> bool:
        """Are there enough new labels, or drift, or is it forced? Otherwise the run ends here."""
        refuse_unknown(RETRAIN, params, PARAMS)
        result = _retraining().check(CONFIG, run_id, params, dag_run)
        ti.xcom_push("result", result)
        return bool(result["needed"])

    @task
    def snapshot(params: Any = None, run_id: Any = None, dag_run: Any = None) -> XCom:
        """The training set, kept under the SHA-256 of its content."""
        return _retraining().step("snapshot", CONFIG, run_id, params, dag_run)

    @task
    def train(params: Any = None, run_id: Any = None, dag_run: Any = None) -> XCom:
        """A challenger by the champion's recipe, registered."""
        return _retraining().step("train", CONFIG, run_id, params, dag_run)

    @task
    def evaluate(params: Any = None, run_id: Any = None, dag_run: Any = None) -> XCom:
        """Champion and challenger score the audit windows, loaded as the scorer loads them."""
        return _retraining().step("evaluate", CONFIG, run_id, params, dag_run)

    @task
    def gate(params: Any = None, run_id: Any = None, dag_run: Any = None) -> XCom:
        """The verdict, with every figure."""
        return _retraining().step("gate", CONFIG, run_id, params, dag_run)

    @task
    def promote(params: Any = None, run_id: Any = None, dag_run: Any = None) -> XCom:
        """Acts on the verdict: moves the alias, rejects the challenger, or waits for approval."""
        return _retraining().step("promote", CONFIG, run_id, params, dag_run)

    @task.branch
    def must_be_asked(done: XCom) -> str:
        return APPROVAL if done["state"] == "waiting" else "report"

    # not ApprovalOperator: it skips what follows a no, and loses who gave the answer
    approval = HITLOperator(
        task_id=APPROVAL,
        options=["Approve", "Reject"],
        subject="Promote version {{ ti.xcom_pull(task_ids='train')['challenger'] }} of the activity model?",
        body=QUESTION,
        response_timeout=timedelta(days=3),
        defaults="Reject",
        execution_timeout=None,
    )

    @task
    def settle(run_id: Any = None, ti: Any = None) -> XCom:
        """Approved: the alias moves. Rejected, or no answer in time: the challenger is rejected."""
        return _retraining().settle(CONFIG, run_id, ti.xcom_pull(task_ids=APPROVAL))

    @task(trigger_rule="none_failed_min_one_success")
    def report(run_id: Any = None) -> XCom:
        """How the run ended."""
        return _retraining().report(CONFIG, run_id)

    done = promote()
    asked, reported = must_be_asked(done), report()
    check() >> snapshot() >> train() >> evaluate() >> gate() >> done >> asked
    asked >> approval >> settle() >> reported
    asked >> reported


retrain_activity_model()
