"""Verbs as jobs of EMR Serverless, against moto's server, which checks nothing that botocore's models do not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from own_settings import replaced
from typer.testing import CliRunner

from activitymodule import cli
from activitymodule.errors import ConfigError, JobFailedError, NotFoundError, QuotaError
from activitymodule.settings import Settings, settings
from activitymodule.workflows.cloud import running
from activitymodule.workflows.cloud.running import Request
from activitymodule.workflows.cloud.stage import CURRENT, Staged

ROLE = "arn:aws:iam::123456789012:role/activity-engine"
STAGED = Staged(
    code="s3://raw/jobs/staged/code/activity-1.tar.gz",
    entry="s3://raw/jobs/staged/spark/1/run_verb.py",
    requirements="s3://raw/jobs/staged/requirements-1.lock",
    jars=("s3://raw/jobs/staged/jars/1/a.jar", "s3://raw/jobs/staged/jars/2/b.jar"),
)
CLOUD = {
    "staging": "s3://raw/jobs",
    "role": ROLE,
    "image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/activity/spark:1",
    "release": "emr-7.9.0",  # moto knows no emr-spark-8.0.0
    "subnets": ["subnet-1"],
    "security_groups": ["sg-1"],
    "poll_seconds": 0,
    "most_dollars": 40,
}


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def config(aws: str) -> Iterator[Settings]:
    """Settings with something staged and a role; applications and jobs are forgotten afterwards."""
    boto3.client("s3").put_object(Bucket="raw", Key=f"jobs/{CURRENT}", Body=STAGED.model_dump_json())
    iam = boto3.client("iam")
    iam.create_role(
        RoleName="activity-engine", AssumeRolePolicyDocument=trust("emr-serverless.amazonaws.com")
    )
    yield replaced(Settings(), cloud=CLOUD, store={"host": "store.example.org", "password": "geheim"})
    iam.delete_role(RoleName="activity-engine")
    backend().reset()


def backend() -> Any:
    """What moto knows of EMR Serverless."""
    from moto.emrserverless.models import emrserverless_backends

    return emrserverless_backends["123456789012"]["eu-central-1"]


def runs() -> list[Any]:
    return [run for of_one in backend().job_runs.values() for run in of_one]


def log(job: Any, stream: str, text: str) -> None:
    """What EMR writes of a driver."""
    key = f"jobs/logs/applications/{job.application}/jobs/{job.id}/SPARK_DRIVER/{stream}.gz"
    boto3.client("s3").put_object(Bucket="raw", Key=key, Body=gzip.compress(text.encode()))


def test_a_job_and_its_application_are_made(config: Settings) -> None:
    job = running.submit(config, Request("preprocess", token="a-token"))
    (run,) = runs()
    assert run.client_token == "a-token"
    driver = run.job_driver["sparkSubmit"]
    assert driver["entryPoint"] == STAGED.entry
    assert driver["entryPointArguments"] == ["prepare", "casas", "s3://raw/jobs/raw/casas", "--json"]
    overrides = run.configuration_overrides
    conf = overrides["applicationConfiguration"][0]["properties"]
    assert conf["spark.archives"] == f"{STAGED.code}#activity"
    assert conf["spark.emr-serverless.driverEnv.ACTIVITY_STORE__HOST"] == '"store.example.org"'
    assert conf["spark.executorEnv.PYTHONPATH"] == "./activity"
    assert conf["spark.executorEnv.AWS_DEFAULT_REGION"] == "eu-central-1"
    assert "geheim" not in json.dumps([driver, overrides]), "secrets come by cloud.environment alone"
    assert "CLOUD__" not in json.dumps(conf)
    assert (
        overrides["monitoringConfiguration"]["s3MonitoringConfiguration"]["logUri"] == "s3://raw/jobs/logs/"
    )
    (application,) = backend().applications.values()
    assert application.auto_stop_configuration == {"enabled": True, "idleTimeoutMinutes": 15}
    assert application.network_configuration == {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}
    running.submit(config, Request("score"))
    assert len(backend().applications) == 1, "the second job finds it"
    conf = runs()[1].configuration_overrides["applicationConfiguration"][0]["properties"]
    assert conf["spark.jars"] == ",".join(STAGED.jars)
    assert [one.name for one in running.jobs(config, 10)] == ["activity-preprocess", "activity-score"]
    assert job.id in {one.id for one in running.jobs(config, 10)}


def test_a_job_is_followed_to_its_end(config: Settings) -> None:
    job = running.submit(config, Request("days"))
    states = iter(["SCHEDULED", "RUNNING", "SUCCESS"])
    seen = []

    def on_state(now: Any) -> None:
        seen.append(now.state)
        runs()[0].state = next(states, "SUCCESS")

    runs()[0].state = "PENDING"
    runs()[0].billed_resource_utilization = {"vCPUHour": 10.0, "memoryGBHour": 40.0}
    log(job, "stdout", 'preparing\n{"readings": 5}\n')
    ended = running.follow(config, job, on_state)
    assert seen == ["PENDING", "SCHEDULED", "RUNNING", "SUCCESS"]
    assert ended.counts == {"readings": 5}
    assert ended.dollars == pytest.approx(10 * 0.052624 + 40 * 0.0057785)
    assert running.log(config, job.id, "stdout") == 'preparing\n{"readings": 5}\n'
    with pytest.raises(NotFoundError):
        running.log(config, job.id, "stderr")
    with pytest.raises(ConfigError):
        running.log(config, job.id, "other")


def test_a_job_that_fails_shows_the_end_of_its_log(config: Settings) -> None:
    job = running.submit(config, Request("train"))
    runs()[0].state, runs()[0].state_details = "FAILED", "stage 3 failed"
    log(job, "stderr", "first\n" * 100 + "OutOfMemoryError\n")
    with pytest.raises(JobFailedError, match="stage 3 failed") as failed:
        running.follow(config, job)
    assert str(failed.value).endswith("OutOfMemoryError")
    assert str(failed.value).count("first") == running.TAIL - 1


def test_a_job_is_ended(config: Settings) -> None:
    job = running.submit(config, Request("generate"))
    runs()[0].state = "RUNNING"
    assert running.stop(config, job.id).state == "CANCELLED"
    with pytest.raises(JobFailedError, match="CANCELLED"):
        running.follow(config, job)
    assert running.stop(config, job.id).state == "CANCELLED"
    with pytest.raises(ConfigError):
        running.stop(config, "../x")
    with pytest.raises(NotFoundError):
        running.stop(config, "00abc")


def test_what_may_cost_too_much_is_asked_first(config: Settings) -> None:
    config = replaced(config, cloud={"most_dollars": 6})
    asked = []
    request = Request("train", hours=10)
    # 20 vCPU and 80 GB: 10 h of 1.0525 and 0.4623 $
    assert running.estimate(config, request).dollars == pytest.approx(15.147, abs=0.001)
    with pytest.raises(QuotaError, match=r"15\.15 \$ in 10 h"):
        running.submit(config, request, confirm=lambda cost: bool(asked.append(cost)))
    assert len(asked) == 1
    assert not backend().applications, "nothing was made"
    running.submit(config, request, confirm=lambda cost: True)
    running.submit(config, Request("train", hours=3), confirm=lambda cost: pytest.fail("3 h are cheap"))


@pytest.mark.parametrize(
    ("cloud", "match"),
    [
        ({"role": None}, r"cloud\.role is not set"),
        ({"role": ROLE + "-2"}, "does not exist"),
        ({"staging": None}, r"cloud\.staging is not set"),
        ({"staging": "s3://raw/nothing"}, "activity cloud stage"),
        ({"image": None}, r"cloud\.image is not set"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_made(
    config: Settings, cloud: dict[str, Any], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        running.submit(replaced(config, cloud=cloud), Request("preprocess"))
    assert not backend().applications
    for wrong in (Request("prepare"), Request("train", on="databricks")):
        with pytest.raises(ConfigError):
            running.submit(config, wrong)


def test_a_role_that_emr_may_not_use(config: Settings) -> None:
    boto3.client("iam").update_assume_role_policy(
        RoleName="activity-engine", PolicyDocument=trust("ec2.amazonaws.com")
    )
    with pytest.raises(ConfigError, match="does not trust EMR Serverless"):
        running.submit(config, Request("preprocess"))


def test_the_verb(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CLOUD.items():
        monkeypatch.setenv(f"ACTIVITY_CLOUD__{name.upper()}", json.dumps(value))
    settings.cache_clear()
    try:
        run = CliRunner().invoke(cli.app, ["cloud", "run", "train", "--wait", "--json", "--", "--data", "x"])
        assert run.exit_code == 0, run.output
        assert json.loads(run.stdout)["job"]["state"] == "SUCCESS"
        assert runs()[0].job_driver["sparkSubmit"]["entryPointArguments"] == ["train", "--data", "x"]
        listed = CliRunner().invoke(cli.app, ["cloud", "list", "--json"])
        assert [one["name"] for one in json.loads(listed.stdout)] == ["activity-train"]
    finally:
        settings.cache_clear()
