"""Measures the reference statistics again from the prepared recordings in the lake, where there are any.

What `activity prepare` wrote under `lake/prepared/SOURCE` becomes `lake/statistics/SOURCE.parquet`, of which
`fleet.reference` can be the path. A source whose recordings have not changed is skipped.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from activitymodule.orchestration.names import REFRESH_STATISTICS, XCom
from activitymodule.orchestration.params import refuse_unknown
from activitymodule.orchestration.retries import retries
from activitymodule.settings import load

CONFIG = load()


def _statistics() -> Any:
    """The workflow."""
    # SciPy and PyArrow take seconds, and the DAG processor reads this file every minute
    from activitymodule.workflows import statistics

    return statistics


PARAMS = {
    "source": Param(
        None,
        type=["null", "string"],
        title="Source",
        description="Only this prepared source (wisdm, casas ...); empty: every one in the lake.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Measure unchanged recordings too",
        description="Measure also recordings that have not changed since the last time.",
    ),
}


@dag(
    dag_id=REFRESH_STATISTICS,
    schedule=CronTriggerTimetable(CONFIG.airflow.statistics, timezone="UTC")
    if CONFIG.airflow.statistics
    else None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    params=PARAMS,
    tags=["activity", "statistics"],
    doc_md=__doc__,
    default_args=retries(pause=timedelta(seconds=30)),
)
def refresh_statistics() -> None:
    """The DAG."""

    @task
    def sources(params: Any = None) -> list[str]:
        """Names of the prepared sources to measure."""
        refuse_unknown(REFRESH_STATISTICS, params, PARAMS)
        return list(_statistics().sources_to_refresh(CONFIG, (params["source"] or "").strip()))

    @task(max_active_tis_per_dag=1)
    def measure(source: str, params: Any = None) -> XCom:
        """The statistics of one source."""
        result = _statistics().refresh(CONFIG, source, params["force"])
        if not result.measured:
            raise AirflowSkipException(f"{source} has not changed since it was measured")
        return asdict(result)

    measure.expand(source=sources())


refresh_statistics()
