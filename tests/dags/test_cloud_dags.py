"""The DAGs of the cloud, whole, by `dag.test()`: jobs on EMR Serverless as moto plays it, and a load into BigQuery."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from faulty_cloud import faulty_cloud
from lake_files import day_file, prediction_file
from own_bigquery import DATASET, OwnGoogle, own_google
from own_cloud import moto_server, own_cloud
from own_engines import Serverless
from own_google import PROJECT
from trials import replaced

from activitymodule.embedded.processes import wait_until
from activitymodule.orchestration.names import LOAD_WAREHOUSE, PREPROCESS_ON_EMR, token_of
from activitymodule.settings import Settings, reveal
from activitymodule.workflows.cloud import running

pytestmark = pytest.mark.integration


@pytest.fixture
def emr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serverless]:
    with moto_server() as address, own_cloud(address), faulty_cloud(address) as cloud:
        boto3.client("s3").create_bucket(
            Bucket="raw", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.address)
        # moto's jobs have ended when they begin
        monkeypatch.setattr("moto.emrserverless.models.JOB_STATUS", "RUNNING")
        yield Serverless(cloud)
        assert cloud.problems == []


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnGoogle]:
    # Google's library asks an address of its own in which regions an account may be used: not from a test
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with own_google(tmp_path) as own:
        yield own


@pytest.mark.parametrize("state", ["SUCCESS", pytest.param("FAILED", marks=pytest.mark.soak)])
def test_a_job_is_followed_to_its_end_and_one_that_fails_is_not_started_again(
    emr: Serverless, airflow_settings: Settings, try_dag: Callable[..., Any], state: str
) -> None:
    made = emr.make()
    settings = replaced(airflow_settings, cloud=reveal(made)["cloud"] | {"poll_seconds": 0.2})
    trial = try_dag(PREPROCESS_ON_EMR, "2026-03-01T00:00:00+00:00", settings, words="casas s3://raw/other")
    assert wait_until(emr.runs, 120, pause=0.2)
    (job,) = running.jobs(made, 2)
    emr.log(job, "stdout", '{"readings": 5}\n')
    emr.log(job, "stderr", "OutOfMemoryError\n")
    emr.set(job, state, "stage 3 failed")
    ended = trial.result()
    assert (ended["state"], ended["tasks"]) == (state.lower(), {"run": state.lower()})
    (run,) = emr.runs()
    assert run.client_token == token_of(PREPROCESS_ON_EMR, ended["run_id"])
    assert run.job_driver["sparkSubmit"]["entryPointArguments"] == [
        *("prepare", "casas", "s3://raw/other", "--json")
    ]
    last = {"SUCCESS": "{'readings': 5}", "FAILED": "OutOfMemoryError"}[state]
    assert last in trial.log.read_text()


def test_what_is_new_is_loaded(
    google: OwnGoogle, airflow_settings: Settings, try_dag: Callable[..., Any]
) -> None:
    settings = replaced(
        airflow_settings,
        lake={"folder": "gs://raw/lake"},
        cloud={"bigquery": f"bigquery://{PROJECT}/{DATASET}", "poll_seconds": 0},
    )
    for name, table in (day_file(date(2026, 1, 5), ["p1", "p2"]), prediction_file(date(2026, 1, 5), 4)):
        out = io.BytesIO()
        pq.write_table(table, out)
        google.objects.put(f"lake/{name}", out.getvalue())
    ended = try_dag(LOAD_WAREHOUSE, "2026-03-01T00:00:00+00:00", settings).result()
    assert (ended["state"], ended["tasks"]) == ("success", {"load_files": "success"})
    loaded = {
        name: google.bigquery.rows(f"SELECT count(*) FROM {name}")[0][0] for name in ("daily", "predictions")
    }
    assert loaded == {"daily": 2, "predictions": 4}
