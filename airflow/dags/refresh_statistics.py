"""Measures the reference statistics anew from the prepared recordings in the lake, where there are any.

What `activity prepare` wrote under `lake/prepared/SOURCE` becomes `lake/statistics/SOURCE.parquet`, of which
`fleet.reference` can be the path. A source whose recordings have not changed is passed over.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, ExceptionRetryPolicy, Param, RetryAction, RetryRule, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from activitymodule.errors import ConfigError, DataError
from activitymodule.settings import load

log = logging.getLogger(__name__)

SETTINGS = load()


@dag(
    dag_id="refresh_statistics",
    schedule=CronTriggerTimetable(SETTINGS.airflow.statistics, timezone="UTC")
    if SETTINGS.airflow.statistics
    else None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    params={
        "source": Param(
            None,
            type=["null", "string"],
            title="Source",
            description="Only this prepared source (wisdm, casas ...); empty: every one there is in the lake.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Measure in any case",
            description="Measure also what has not changed since it was measured.",
        ),
    },
    tags=["activity", "statistics"],
    doc_md=__doc__,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2.0,
        "retry_policy": ExceptionRetryPolicy(
            rules=[RetryRule([ConfigError, DataError], action=RetryAction.FAIL)]
        ),
    },
)
def refresh_statistics() -> None:
    @task
    def sources(params: Any = None) -> list[str]:
        """The sources that are prepared."""
        from activitymodule.workflows import statistics

        there = statistics.prepared_sources(SETTINGS)
        if wanted := (params["source"] or "").strip():
            if wanted not in there:
                raise ConfigError(
                    f"the lake holds no prepared source {wanted}; run `activity prepare {wanted} PATH`"
                )
            return [wanted]
        return there

    @task(max_active_tis_per_dag=1)
    def measure(source: str, params: Any = None) -> dict[str, Any]:
        """The statistics of one source."""
        from activitymodule.workflows import statistics

        refreshed = statistics.refresh(SETTINGS, source, params["force"])
        if not refreshed.measured:
            raise AirflowSkipException(f"{source} has not changed since it was measured")
        return asdict(refreshed)

    measure.expand(source=sources())


refresh_statistics()
