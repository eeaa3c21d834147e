"""Verbs as jobs of EMR Serverless: how they are described to it, and what it needs before."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from faulty_cloud import FaultyCloud
from own_engines import ROLE, Serverless, backend, staged, trust
from own_settings import replaced

from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.workflows.cloud import running
from activitymodule.workflows.cloud.running import Request

STAGED = staged("s3://")


def test_a_job_and_its_application_are_made(faulty: FaultyCloud) -> None:
    case = Serverless(faulty)
    config = case.make()
    job = running.submit(config, Request("preprocess", token="a-token"))
    (run,) = case.runs()
    assert run.client_token == "a-token"
    driver = run.job_driver["sparkSubmit"]
    assert driver["entryPoint"] == STAGED.entry
    overrides = run.configuration_overrides
    conf = overrides["applicationConfiguration"][0]["properties"]
    assert conf["spark.archives"] == f"{STAGED.code}#activity"
    assert conf["spark.emr-serverless.driverEnv.ACTIVITY_STORE__HOST"] == '"store.example.org"'
    assert conf["spark.executorEnv.PYTHONPATH"] == "./activity"
    assert conf["spark.executorEnv.AWS_DEFAULT_REGION"] == "eu-central-1"
    assert "geheim" not in json.dumps([driver, overrides]), "secrets come by cloud.environment alone"
    assert "CLOUD__" not in json.dumps(conf)
    assert "spark.jars" not in conf
    logs = overrides["monitoringConfiguration"]["s3MonitoringConfiguration"]
    assert logs["logUri"] == "s3://raw/jobs/logs/"
    (application,) = backend("emr-serverless").applications.values()
    assert application.auto_stop_configuration == {"enabled": True, "idleTimeoutMinutes": 15}
    assert application.network_configuration == {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}
    running.submit(config, Request("score"))
    assert len(backend("emr-serverless").applications) == 1, "the second job finds it"
    conf = case.runs()[1].configuration_overrides["applicationConfiguration"][0]["properties"]
    assert conf["spark.jars"] == ",".join(STAGED.jars)
    assert job.id in {one.id for one in running.jobs(config, 10)}
    case.runs()[0].billed_resource_utilization = {"vCPUHour": 10.0, "memoryGBHour": 40.0}
    assert running.follow(config, job).job.dollars == pytest.approx(10 * 0.052624 + 40 * 0.0057785)


@pytest.mark.parametrize(
    ("cloud", "match"),
    [
        ({"role": None}, r"cloud\.role is not set"),
        ({"role": ROLE + "-2"}, "does not exist"),
        ({"image": None}, r"cloud\.image is not set"),
        ({"staging": "gs://raw/jobs"}, "which emr cannot read"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_made(
    faulty: FaultyCloud, cloud: dict[str, Any], match: str
) -> None:
    config = Serverless(faulty).make()
    with pytest.raises(ConfigError, match=match):
        running.submit(replaced(config, cloud=cloud), Request("preprocess"))
    assert not backend("emr-serverless").applications


def test_a_role_that_emr_may_not_use(faulty: FaultyCloud) -> None:
    config = Serverless(faulty).make()
    boto3.client("iam").update_assume_role_policy(
        RoleName="activity-engine", PolicyDocument=trust("ec2.amazonaws.com")
    )
    with pytest.raises(ConfigError, match="does not trust emr-serverless"):
        running.submit(config, Request("preprocess"))


def test_an_application_that_cannot_be_made(faulty: FaultyCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Serverless(faulty).make()
    monkeypatch.setattr("moto.emrserverless.models.APPLICATION_STATUS", "TERMINATED")
    with pytest.raises(ServiceUnavailableError, match="could not be made"):
        running.submit(config, Request("days"))
    monkeypatch.undo()
    running.submit(config, Request("days"))
