"""Drift monitoring: compares current readings with the champion's training data, keeps a report and the alarms.

The report is `reports/drift/latest.json`, and `latest.html` for people; the last page of each day is kept as
`drift-DATE.html`. Where the configured rule recommends a retraining, one is triggered, unless there was one lately or
the Params say no. Beside it, the champion is calibrated on each device model that has enough
audit labels (`activity calibrate`).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import CronTriggerTimetable, Param, dag, task

from activitymodule.orchestration.names import DRIFT_REPORT, RETRAIN, XCom
from activitymodule.orchestration.params import refuse_unknown
from activitymodule.orchestration.retries import retries
from activitymodule.settings import load

log = logging.getLogger(__name__)

CONFIG = load()

PARAMS = {
    "retrain": Param(
        True,
        type="boolean",
        title="Retrain where recommended",
        description="Trigger the retraining where the rule recommends it. Off: only the report is made.",
    ),
    "pause_hours": Param(
        24,
        type="number",
        minimum=0,
        maximum=24 * 366,
        title="Pause (hours)",
        description="Drift lasts: no retraining is triggered within so many hours of the last one.",
    ),
}


@dag(
    dag_id=DRIFT_REPORT,
    schedule=CronTriggerTimetable(CONFIG.airflow.drift, timezone="UTC") if CONFIG.airflow.drift else None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    params=PARAMS,
    tags=["activity", "monitoring"],
    doc_md=__doc__,
    default_args=retries(pause=timedelta(seconds=30)),
)
def drift_report() -> None:
    """The DAG."""

    @task
    def look(params: Any = None) -> XCom:
        """The report."""
        refuse_unknown(DRIFT_REPORT, params, PARAMS)
        # NumPy takes a second, and the DAG processor reads this file every minute
        from activitymodule.workflows import drift

        result = drift.monitor(CONFIG)
        log.info("%s", result.summary)
        return result.model_dump(mode="json")

    @task.short_circuit
    def recommended(result: XCom, params: Any = None) -> bool:
        """Whether a retraining is to be triggered; otherwise the run ends here."""
        # scikit-learn and PyArrow take seconds
        from activitymodule.workflows.retraining import checking

        return bool(
            result["retrain_recommended"]
            and params["retrain"]
            and not checking.retrained_within(CONFIG, params["pause_hours"])
        )

    trigger = TriggerDagRunOperator(
        task_id="retrain",
        trigger_dag_id=RETRAIN,
        conf={"why": "drift: {{ ti.xcom_pull(task_ids='look')['summary'] | truncate(480) }}"},
    )

    @task
    def calibrate() -> XCom:
        """The champion on each device model, from audit labels."""
        # scikit-learn and PyArrow take seconds
        from activitymodule.workflows import calibration

        result = calibration.calibrate(CONFIG, by_whom=f"airflow: {DRIFT_REPORT}")
        log.info("%s", result.summary)
        return result.model_dump(mode="json")

    recommended(look()) >> trigger
    calibrate()


drift_report()
