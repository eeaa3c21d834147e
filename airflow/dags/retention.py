"""Deletes what is no longer needed, and moves old days of predictions to the lake, by the settings `retention`.

The same as `activity retention`. A run that is interrupted is continued by the next one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, task

from activitymodule.errors import ActivityError
from activitymodule.orchestration.names import RETENTION, XCom
from activitymodule.orchestration.params import refuse_unknown
from activitymodule.orchestration.retries import retries
from activitymodule.settings import load

CONFIG = load()
PARAMS = {
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Only count what would go; delete nothing.",
    )
}


@dag(
    dag_id=RETENTION,
    schedule=CronTriggerTimetable(CONFIG.airflow.retention, timezone="UTC")
    if CONFIG.airflow.retention
    else None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    params=PARAMS,
    tags=["activity", "store"],
    doc_md=__doc__,
    default_args=retries(pause=timedelta(minutes=5)),
)
def retention() -> None:
    """The DAG."""

    @task
    def apply(params: Any = None) -> XCom:
        """All kinds, one after the other; fails where one of them could not be done."""
        refuse_unknown(RETENTION, params, PARAMS)
        # PyArrow takes seconds, and the DAG processor reads this file every minute
        from activitymodule.workflows.retention import run

        report = run.plan(CONFIG) if params["dry_run"] else run.apply(CONFIG, say=print)
        if report.failed:
            raise ActivityError("; ".join(f"{one.title}: {one.error}" for one in report.failed))
        return report.model_dump(mode="json")

    apply()


retention()
