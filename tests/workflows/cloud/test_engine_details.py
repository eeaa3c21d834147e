"""What one engine alone has: how jobs are described to it, and what it needs before."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from faulty_cloud import Fault, FaultyCloud
from google.auth.credentials import AnonymousCredentials
from own_engines import Batches, Cluster, Serverless, backend, staged, trust
from own_google import PROJECT, REGION, GoogleFault, OwnGoogle
from own_settings import replaced
from urllib3.util.retry import Retry

from activitymodule.cloud.emr_ec2 import UNPACK
from activitymodule.cloud.google import Answer, Google
from activitymodule.errors import (
    ConfigError,
    JobFailedError,
    NotAllowedError,
    RefusedError,
    ServiceUnavailableError,
)
from activitymodule.settings import project_root
from activitymodule.workflows.cloud import running
from activitymodule.workflows.cloud.running import Request


def test_what_the_models_refuse_is_noticed(faulty: FaultyCloud) -> None:
    """The server before moto's checks more than boto3 does: this is its own test."""
    boto3.client("emr").list_clusters(ClusterStates=["WALKING"])
    assert "WALKING" in faulty.problems.pop()
    with pytest.raises(ClientError):
        boto3.client("emr-serverless").create_application(
            name="a b", releaseLabel="none", type="SPARK", clientToken="x"
        )
    assert "'a b'" in faulty.problems.pop(0)
    faulty.problems.clear()


def test_a_cluster_and_its_step(faulty: FaultyCloud) -> None:
    config = replaced(
        Cluster(faulty).make(),
        cloud={"environment": {"ACTIVITY_STORE__USER": "a b"}, "security_groups": ["sg-1"]},
    )
    job = running.submit(config, Request("score", token="a"))
    (cluster,) = backend("emr").clusters.values()
    groups = {one.role: (one.instance_type, one.num_instances) for one in cluster.instance_groups}
    assert groups == {"MASTER": ("m5.xlarge", 1), "CORE": ("m5.xlarge", 4)}
    assert cluster.keep_job_flow_alive_when_no_steps
    assert not cluster.termination_protected
    assert cluster.log_uri == "s3://raw/jobs/logs/"
    assert (cluster.role, cluster.service_role) == ("EMR_EC2_DefaultRole", "EMR_DefaultRole")
    assert cluster.bootstrap_actions[0].script_path == staged("s3://").bootstrap
    assert cluster.bootstrap_actions[0].args == [staged("s3://").code, staged("s3://").requirements]
    (step,) = cluster.steps
    assert step.action_on_failure == "CONTINUE"
    assert "geheim" not in str(step.args), "secrets come by cloud.environment alone"
    words = step.args
    assert words[:5] == ["bash", "-c", UNPACK, "activity", staged("s3://").code]
    assert words[5] == "env", "a stream has no end of its own"
    assert "ACTIVITY_STORE__USER=a b" in words
    assert f"spark.jars={','.join(staged('s3://').jars)}" in words
    assert "spark.executorEnv.AWS_DEFAULT_REGION=eu-central-1" in words
    running.submit(config, Request("days", hours=2, token="b"))
    assert len(backend("emr").clusters) == 1, "the second job finds it"
    assert cluster.steps[1].args[5:8] == ["timeout", "--signal=TERM", "120m"]
    assert [one.id for one in running.jobs(config, 1)] != [job.id], "the newest first"


def test_a_step_runs_the_code_that_is_unpacked(tmp_path: Path) -> None:
    """With a copy of a file in place of the download of S3."""
    (tmp_path / "bin").mkdir()
    aws = tmp_path / "bin" / "aws"
    aws.write_text('#!/bin/sh\n[ "$1 $2 $3 $5" = "s3 cp --only-show-errors -" ] && cat "$4"\n')
    aws.chmod(0o755)
    (tmp_path / "hello.py").write_text("print('hello')")
    subprocess.run(["tar", "-czf", "code.tar.gz", "hello.py"], cwd=tmp_path, check=True)
    words = ["bash", "-c", UNPACK, "activity", str(tmp_path / "code.tar.gz"), "env", "A=b c", "sh", "-c"]
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(
        [*words, 'cat activity/hello.py; echo "$A"'],
        env={"PATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "print('hello')b c\n"
    words[4] = str(tmp_path / "none")
    assert subprocess.run([*words, "exit 0"], env={"PATH": path}, capture_output=True, check=False).returncode
    script = project_root() / "infra" / "emr" / "bootstrap.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert shlex.split(script.read_text(), comments=True)


def test_a_cluster_that_does_not_start_tells_why(faulty: FaultyCloud) -> None:
    case = Cluster(faulty)
    config = case.make()
    job = running.submit(config, Request("days"))
    (cluster,) = backend("emr").clusters.values()
    cluster.state, cluster.last_state_change_reason = (
        "TERMINATED_WITH_ERRORS",
        "bootstrap failed",
    )
    case.set(job, "CANCELLED")
    with pytest.raises(JobFailedError, match=r"TERMINATED_WITH_ERRORS\. bootstrap failed"):
        running.follow(config, job)
    assert running.submit(config, Request("train")).place != job.place, "the next has a cluster of its own"


def test_a_step_that_emr_does_not_end(faulty: FaultyCloud) -> None:
    config = Cluster(faulty).make()
    job = running.submit(config, Request("days"))
    refusal = {"CancelStepsInfoList": [{"StepId": "s-1", "Status": "FAILED", "Reason": "it ends by itself"}]}
    faulty.answers["CancelSteps"] = lambda asked: refusal
    with pytest.raises(RefusedError, match="it ends by itself"):
        running.stop(config, job.id)


def test_what_a_cluster_needs_before(faulty: FaultyCloud) -> None:
    config = Cluster(faulty).make()
    iam = boto3.client("iam")

    def refused(match: str, **cloud: object) -> None:
        with pytest.raises(ConfigError, match=match):
            running.submit(replaced(config, cloud=cloud), Request("days"))
        assert not backend("emr").clusters, "nothing is made"

    refused(
        "role none of cloud.service_role does not exist; `aws emr create-default-roles`", service_role="none"
    )
    refused("instance profile none of cloud.instance_profile does not exist", instance_profile="none")
    refused("EMR Serverless alone reads", environment={"A": "EMR.secret@arn"})
    iam.create_instance_profile(InstanceProfileName="empty")
    refused("has no role", instance_profile="empty")
    iam.update_assume_role_policy(
        RoleName="EMR_EC2_DefaultRole", PolicyDocument=trust("lambda.amazonaws.com")
    )
    refused("does not trust ec2.amazonaws.com")
    # who may not look at roles is told by EMR itself
    faulty.faults.append(Fault("iam .*", 403, "AccessDenied", times=9))
    running.submit(config, Request("days"))


@pytest.mark.parametrize("engine", [Serverless, Cluster])
def test_a_bucket_in_another_region(faulty: FaultyCloud, engine: type[Serverless] | type[Cluster]) -> None:
    config = engine(faulty).make()
    s3 = boto3.client("s3", region_name="us-west-2")
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    found = boto3.client("s3").get_object(Bucket="raw", Key="jobs/staged/current.json")["Body"].read()
    s3.put_object(Bucket="elsewhere", Key="jobs/staged/current.json", Body=found)
    with pytest.raises(ConfigError, match="elsewhere is in us-west-2, and jobs would run in eu-central-1"):
        running.submit(replaced(config, cloud={"staging": "s3://elsewhere/jobs"}), Request("days"))
    assert not backend("emr").clusters
    assert not backend("emr-serverless").applications


def test_a_batch_as_the_library_has_it(google: OwnGoogle) -> None:
    """Each field is one of the message's, as unknown ones were refused; Google's own client reads the same server."""
    from google.cloud import dataproc_v1
    from google.cloud.dataproc_v1.services.batch_controller.transports import BatchControllerRestTransport

    config = replaced(Batches(google).make(), cloud={"environment": {"ACTIVITY_STORE__USER": "engine"}})
    job = running.submit(config, Request("score", executors=1))
    (batch,) = google.batches.values()
    spark = batch.pyspark_batch
    assert spark.main_python_file_uri == staged("gs://").entry
    assert list(spark.archive_uris) == [f"{staged('gs://').code}#activity"]
    assert list(spark.jar_file_uris) == list(staged("gs://").jars)
    assert (batch.runtime_config.version, batch.runtime_config.container_image) == ("3.0", config.cloud.image)
    conf = dict(batch.runtime_config.properties)
    assert conf["spark.executor.instances"] == "2", "Dataproc's least"
    assert conf["spark.dataproc.driverEnv.ACTIVITY_STORE__HOST"] == '"store.example.org"'
    assert conf["spark.dataproc.driverEnv.ACTIVITY_STORE__USER"] == "engine"
    assert conf["spark.executorEnv.PYTHONPATH"] == "./activity"
    assert "geheim" not in str(conf)
    execution = batch.environment_config.execution_config
    assert (execution.staging_bucket, execution.subnetwork_uri) == ("raw", "subnet-1")
    assert execution.service_account == f"engine@{PROJECT}.iam.gserviceaccount.com"
    assert execution.ttl.days == 14
    service_account = dataproc_v1.AuthenticationConfig.AuthenticationType.SERVICE_ACCOUNT
    assert execution.authentication_config.user_workload_authentication_type == service_account
    batch.runtime_info.approximate_usage.milli_dcu_seconds = 36_000_000
    assert running.jobs(config, 1)[0].dollars == pytest.approx(0.6)
    transport = BatchControllerRestTransport(
        host=google.address.removeprefix("http://"), url_scheme="http", credentials=AnonymousCredentials()
    )
    client = dataproc_v1.BatchControllerClient(transport=transport)
    parent = f"projects/{PROJECT}/locations/{REGION}"
    assert [one.name.rpartition("/")[2] for one in client.list_batches(parent=parent)] == [job.id]
    with pytest.raises(ConfigError, match="no field named"):
        Google(google.address).call(
            Answer, "trying", "POST", f"v1/{parent}/batches", body={"wrong": 1}, batchId="any"
        )


def test_batches_of_others_are_not_ours(google: OwnGoogle) -> None:
    config = Batches(google).make()
    names = [running.submit(config, Request("days", token=str(number))).id for number in range(5)]
    google.batches[names[2]].labels.clear()
    assert {one.id for one in running.jobs(config, 10)} == {*names} - {names[2]}, "over three pages"
    assert len(running.jobs(config, 2)) == 2


def test_what_google_needs_before(google: OwnGoogle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = Batches(google).make()

    def refused(match: str, kind: type[Exception] = ConfigError, **cloud: object) -> None:
        with pytest.raises(kind, match=match):
            running.submit(replaced(config, cloud=cloud), Request("days"))
        assert not google.batches, "nothing is made"

    refused(r"cloud\.region is not set", region=None)
    refused(r"cloud\.image is not set", image=None)
    monkeypatch.setattr("activitymodule.cloud.google._AGAIN", Retry(0))
    refused("does not answer", ServiceUnavailableError, dataproc_address="http://127.0.0.1:1")
    other = os.environ["CLOUD_STORAGE_EMULATOR_ENDPOINT"]
    refused("what no interface of Google's does", ServiceUnavailableError, dataproc_address=other)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    refused("gcloud auth application-default login", NotAllowedError)


def test_a_service_that_stays_away_while_a_job_runs(google: OwnGoogle) -> None:
    config = Batches(google).make()
    job = running.submit(config, Request("days"))
    google.faults.append(GoogleFault("GET .*", 400, "FAILED_PRECONDITION", "the project is suspended", 1))
    with pytest.raises(ConfigError, match="suspended"):
        running.follow(config, job)
