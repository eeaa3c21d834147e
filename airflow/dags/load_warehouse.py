"""Loads daily records, predictions of past days, labels and model versions into Redshift or BigQuery, as far as they
are new or changed.

The same as `activity warehouse load`. A run that is interrupted is done again by the next one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task

from activitymodule.orchestration.names import LOAD_WAREHOUSE, XCom
from activitymodule.orchestration.params import refuse_unknown
from activitymodule.orchestration.retries import retries
from activitymodule.settings import load

CONFIG = load()


@dag(
    dag_id=LOAD_WAREHOUSE,
    schedule=CronTriggerTimetable(CONFIG.airflow.warehouse, timezone="UTC")
    if CONFIG.airflow.warehouse
    else None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    tags=["activity", "cloud"],
    doc_md=__doc__,
    default_args=retries(pause=timedelta(minutes=5)),
)
def load_warehouse() -> None:
    """The DAG."""

    @task
    def load_files(params: Any = None) -> XCom:
        """All parts that are due."""
        refuse_unknown(LOAD_WAREHOUSE, params, ())
        # boto3 and PyArrow take seconds, and the DAG processor reads this file every minute
        from activitymodule.workflows.cloud.warehouse import loading

        report = loading.load(CONFIG, say=print)
        rows = sum(one.rows for one in report.loaded)
        return {"to": report.to, "files": len(report.loaded), "rows": rows, "kept": report.kept}

    load_files()


load_warehouse()
