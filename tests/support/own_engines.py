"""The three engines as tests see them: settings, the words of a job, and its state and log as a test sets them."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from faulty_cloud import FaultyCloud
from own_google import PROJECT, REGION, OwnGoogle
from own_settings import replaced

from activitymodule.cloud.jobs import Job
from activitymodule.cloud.targets import target_at
from activitymodule.settings import Settings
from activitymodule.workflows.cloud.stage import CURRENT, Staged

ACCOUNT, AWS_REGION = "123456789012", "eu-central-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/activity-engine"


def staged(scheme: str) -> Staged:
    base = f"{scheme}raw/jobs/staged"
    return Staged(
        code=f"{base}/code/activity-1.tar.gz",
        entry=f"{base}/spark/1/run_verb.py",
        scripts=(f"{base}/spark/1/run_verb.py", f"{base}/spark/2/other.py"),
        requirements=f"{base}/requirements-1.lock",
        bootstrap=f"{base}/bootstrap-1.sh",
        jars=(f"{base}/jars/1/a.jar", f"{base}/jars/2/b.jar"),
    )


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def make_role(name: str, service: str) -> None:
    """A role that a service may use."""
    boto3.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust(f"{service}.amazonaws.com"))


def settings_for(scheme: str, **cloud: Any) -> Settings:
    """Settings with something staged."""
    target_at(f"{scheme}raw/jobs").write_whole(CURRENT, staged(scheme).model_dump_json().encode())
    common = {"staging": f"{scheme}raw/jobs", "poll_seconds": 0, "most_dollars": 40, "subnets": ["subnet-1"]}
    return replaced(
        Settings(), cloud={**common, **cloud}, store={"host": "store.example.org", "password": "geheim"}
    )


def backend(service: str) -> Any:
    """What moto knows of a service."""
    from moto.emr.models import emr_backends
    from moto.emrserverless.models import emrserverless_backends
    from moto.glue.models import glue_backends
    from moto.iam.models import iam_backends

    if service == "iam":
        return iam_backends[ACCOUNT]["global"]
    if service == "emr":  # moto takes the region of EMR from the name of a host alone
        return emr_backends[ACCOUNT]["us-east-1"]
    return {"emr-serverless": emrserverless_backends, "glue": glue_backends}[service][ACCOUNT][AWS_REGION]


@dataclass
class Serverless:
    """EMR Serverless, by moto."""

    name = "emr"
    cloud: FaultyCloud
    states = ("SCHEDULED", "RUNNING")
    # what the service says where it refuses: (call, status, code)
    start = "emr-serverless StartJobRun"
    look = "emr-serverless GetJobRun"

    def make(self) -> Settings:
        make_role("activity-engine", "emr-serverless")
        # moto knows no emr-spark-8.0.0
        image = f"{ACCOUNT}.dkr.ecr.{AWS_REGION}.amazonaws.com/activity/spark:1"
        more = {"role": ROLE, "image": image, "release": "emr-7.9.0", "security_groups": ["sg-1"]}
        return settings_for("s3://", **more)

    def runs(self) -> list[Any]:
        return [run for of_one in backend("emr-serverless").job_runs.values() for run in of_one]

    def words(self, job: Job) -> list[str]:
        found: list[str] = self.runs()[0].job_driver["sparkSubmit"]["entryPointArguments"]
        return found

    def set(self, job: Job, state: str, details: str = "") -> None:
        (run,) = (one for one in self.runs() if one.id == job.id)
        run.state, run.state_details = state, details

    def log(self, job: Job, stream: str, text: str) -> None:
        key = f"jobs/logs/applications/{job.place}/jobs/{job.id}/SPARK_DRIVER/{stream}.gz"
        boto3.client("s3").put_object(Bucket="raw", Key=key, Body=gzip.compress(text.encode()))


@dataclass
class Cluster:
    """EMR on EC2, by moto, which lacks CancelSteps."""

    name = "emr-ec2"
    cloud: FaultyCloud
    states = ("PENDING", "RUNNING")
    start = "elasticmapreduce AddJobFlowSteps"
    look = "elasticmapreduce DescribeStep"

    def make(self) -> Settings:
        make_role("EMR_DefaultRole", "elasticmapreduce")
        make_role("EMR_EC2_DefaultRole", "ec2")
        iam = boto3.client("iam")
        iam.create_instance_profile(InstanceProfileName="EMR_EC2_DefaultRole")
        iam.add_role_to_instance_profile(
            InstanceProfileName="EMR_EC2_DefaultRole", RoleName="EMR_EC2_DefaultRole"
        )
        self.cloud.answers["CancelSteps"] = self.cancel
        return settings_for("s3://", engine="emr-ec2")

    def cancel(self, asked: Any) -> Any:
        for one in self.steps():
            if one.id in asked["StepIds"]:
                one.state = "CANCELLED"
        return {"CancelStepsInfoList": [{"StepId": one, "Status": "SUBMITTED"} for one in asked["StepIds"]]}

    def steps(self) -> list[Any]:
        return [step for cluster in backend("emr").clusters.values() for step in cluster.steps]

    def words(self, job: Job) -> list[str]:
        words: list[str] = self.steps()[0].args
        return words[words.index(staged("s3://").entry) + 1 :]

    def set(self, job: Job, state: str, details: str = "") -> None:
        (step,) = (one for one in self.steps() if job.id.endswith(one.id))
        step.state = {"SUCCESS": "COMPLETED"}.get(state, state)
        step.last_state_change_reason = details or None

    def log(self, job: Job, stream: str, text: str) -> None:
        cluster, step = job.id.split("/")
        key = f"jobs/logs/{cluster}/steps/{step}/{stream}.gz"
        boto3.client("s3").put_object(Bucket="raw", Key=key, Body=gzip.compress(text.encode()))


@dataclass
class Batches:
    """Dataproc Serverless, made of Google's messages."""

    name = "dataproc"
    google: OwnGoogle
    states = ("PENDING", "RUNNING")
    start = "POST .*/batches"
    look = "GET .*/batches/.*"

    def make(self) -> Settings:
        more = {
            "engine": "dataproc",
            "dataproc_address": self.google.address,
            "region": REGION,
            "role": f"engine@{PROJECT}.iam.gserviceaccount.com",
            "image": f"{REGION}-docker.pkg.dev/{PROJECT}/activity/spark:1",
        }
        return settings_for("gs://", **more)

    def words(self, job: Job) -> list[str]:
        return list(self.google.batches[job.id].pyspark_batch.args)

    def set(self, job: Job, state: str, details: str = "") -> None:
        from google.cloud import dataproc_v1

        batch = self.google.batches[job.id]
        batch.state = dataproc_v1.Batch.State[{"SUCCESS": "SUCCEEDED"}.get(state, state)]
        batch.state_message, batch.state_time = details, datetime.now(UTC) + timedelta(minutes=1)

    def log(self, job: Job, stream: str, text: str) -> None:
        place, _, name = self.google.batches[job.id].runtime_info.output_uri.rpartition("/")
        half = len(text) // 2
        for number, part in enumerate((text[:half], text[half:])):
            target_at(place).write_whole(f"{name}.{number:09}", part.encode())


Case = Serverless | Cluster | Batches
