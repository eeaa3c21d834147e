"""Builds the daily records of the days of which predictions were written since the last build.

The same as `activity days build`. A run that is interrupted is done again by the next one. With dates it builds those.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, task

from activitymodule.orchestration.names import BUILD_DAYS, XCom
from activitymodule.orchestration.params import refuse_unknown
from activitymodule.orchestration.retries import retries
from activitymodule.settings import load

CONFIG = load()
PARAMS = {
    name: Param(
        None, type=["null", "string"], format="date", title=title, description=f"{title}; empty: what is new."
    )
    for name, title in (("first", "First local date"), ("last", "Last local date"))
}


@dag(
    dag_id=BUILD_DAYS,
    schedule=CronTriggerTimetable(CONFIG.airflow.days, timezone="UTC") if CONFIG.airflow.days else None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    params=PARAMS,
    tags=["activity", "days"],
    doc_md=__doc__,
    default_args=retries(pause=timedelta(minutes=5)),
)
def build_days() -> None:
    """The DAG."""

    @task
    def build(params: Any = None) -> XCom:
        """All days that are due."""
        refuse_unknown(BUILD_DAYS, params, PARAMS)
        # the process of this task, and Spark's: where stream and console share the machine, they go first
        os.nice(10)
        # Spark and PyArrow take seconds, and the DAG processor reads this file every minute
        from activitymodule.workflows import days

        first, last = (date.fromisoformat(params[name]) if params[name] else None for name in PARAMS)
        return days.build(CONFIG, first, last, say=print).model_dump(mode="json")

    build()


build_days()
