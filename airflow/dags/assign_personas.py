"""Gives every participant with two weeks of daily records or more their persona, by the champion of the personas.

The same as `activity behaviour assign`. Without personas, or while nobody has enough days, it is skipped.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from activitymodule.orchestration.names import ASSIGN_PERSONAS, XCom
from activitymodule.orchestration.params import refuse_unknown
from activitymodule.orchestration.retries import retries
from activitymodule.settings import load

CONFIG = load()


@dag(
    dag_id=ASSIGN_PERSONAS,
    schedule=CronTriggerTimetable(CONFIG.airflow.personas, timezone="UTC")
    if CONFIG.airflow.personas
    else None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    tags=["activity", "days"],
    doc_md=__doc__,
    default_args=retries(pause=timedelta(minutes=5)),
)
def assign_personas() -> None:
    """The DAG."""

    @task
    def assign(params: Any = None) -> XCom:
        """All participants."""
        refuse_unknown(ASSIGN_PERSONAS, params, ())
        # scikit-learn and PyArrow take seconds, and the DAG processor reads this file every minute
        from activitymodule.workflows.behaviour import personas

        found = personas.assign_if_any(CONFIG)
        if found is None:
            raise AirflowSkipException("there are no personas, or nobody has enough days yet")
        return asdict(found)

    assign()


assign_personas()
