"""Looks at drift: what was scored lately against the champion's baseline. Keeps a report and the alarms up to date.

The report is `reports/drift/latest.json`. Where the configured rule recommends a retraining, one is triggered, unless
there was one lately or it is not wanted (Params).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import CronTriggerTimetable, Param, dag, task

from activitymodule.settings import load

log = logging.getLogger(__name__)

SETTINGS = load()


@dag(
    dag_id="drift_report",
    schedule=CronTriggerTimetable(SETTINGS.airflow.drift, timezone="UTC") if SETTINGS.airflow.drift else None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    params={
        "retrain": Param(
            True,
            type="boolean",
            title="Retrain where it is recommended",
            description="Trigger the retraining when the rule recommends it. Off: the report alone.",
        ),
        "pause_hours": Param(
            24,
            type="number",
            minimum=0,
            title="Pause (hours)",
            description="Drift lasts: no retraining is triggered so soon after the last one began.",
        ),
    },
    tags=["activity", "monitoring"],
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30), "retry_exponential_backoff": 2.0},
)
def drift_report() -> None:
    @task
    def look() -> dict[str, Any]:
        """The report."""
        from activitymodule.jobs import airflow_tasks

        found = airflow_tasks.look_at_drift(SETTINGS)
        log.info("%s", found["says"])
        return found

    @task.short_circuit
    def recommended(found: dict[str, Any], params: Any = None) -> bool:
        """Whether a retraining is to be triggered; else the run ends here."""
        from activitymodule.jobs import airflow_tasks

        return bool(
            found["retrain"]
            and params["retrain"]
            and not airflow_tasks.retrained_within(SETTINGS, params["pause_hours"])
        )

    trigger = TriggerDagRunOperator(
        task_id="retrain",
        trigger_dag_id="retrain_activity_model",
        conf={"why": "drift: {{ ti.xcom_pull(task_ids='look')['says'] | truncate(480) }}"},
    )
    recommended(look()) >> trigger


drift_report()
