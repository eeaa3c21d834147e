"""Cleans the raw recordings of the staging bucket into Parquet, as a job of the engine that `cloud.engine` names: EMR
Serverless, EMR on EC2 or Dataproc Serverless.

The same as `activity cloud run preprocess --wait --yes`. A task that is tried again follows the job that it
started; one that failed is not started again.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from activitymodule.orchestration.names import PREPROCESS_ON_EMR, XCom, token_of
from activitymodule.orchestration.params import refuse_unknown
from activitymodule.orchestration.retries import retries
from activitymodule.settings import load

CONFIG = load()
PARAMS = {
    "words": Param(
        None,
        type=["null", "string"],
        title="Source and path",
        description="As of `activity prepare`: casas s3://BUCKET/raw/casas; empty: casas of the staging bucket.",
    ),
    "hours": Param(
        4.0, type="number", minimum=0.1, title="Hours", description="After so many hours the job is ended."
    ),
}


@dag(
    dag_id=PREPROCESS_ON_EMR,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(days=2),
    params=PARAMS,
    tags=["activity", "recordings", "cloud"],
    doc_md=__doc__,
    default_args=retries(pause=timedelta(minutes=5)),
)
def preprocess_on_emr() -> None:
    """The DAG."""

    @task
    def run(params: Any = None, run_id: Any = None) -> XCom:
        """Starts the job, and waits for its end."""
        refuse_unknown(PREPROCESS_ON_EMR, params, PARAMS)
        # boto3 takes a second, and the DAG processor reads this file every minute
        from activitymodule.workflows.cloud import running

        request = running.Request(
            "preprocess",
            tuple(shlex.split(params["words"] or "")),
            hours=float(params["hours"]),
            token=token_of(PREPROCESS_ON_EMR, str(run_id)),
        )
        job = running.submit(CONFIG, request, confirm=lambda cost: True, say=print)
        ended = running.follow(CONFIG, job)
        return {"job": job.id, "state": ended.job.state, "dollars": ended.job.dollars, "counts": ended.counts}

    run()


preprocess_on_emr()
