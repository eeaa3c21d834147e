"""EMR on EC2: a cluster that ends when it is idle, its steps, and the logs of their drivers.

A step unpacks the code on the primary node, where the driver runs too: so its log is the step's, and the job ends with
the step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from botocore.client import BaseClient

from activitymodule.cloud.aws import client, explained
from activitymodule.cloud.jobs import CORES, GIGABYTES, TAGS, Job, Leftover, Submission, environment, sizes
from activitymodule.cloud.roles import check_profile, check_role
from activitymodule.cloud.s3 import check_region, read_log
from activitymodule.errors import ConfigError, NotFoundError, RefusedError
from activitymodule.settings import Cloud

SERVICE = "elasticmapreduce.amazonaws.com"
ROLES = "`aws emr create-default-roles` makes it"
UNPACK = """set -e
cd "$(mktemp -d)"
mkdir activity
aws s3 cp --only-show-errors "$1" - | tar -xz -C activity
shift
exec "$@"
"""
"""Of a step, by bash: its first argument is the address of the code, the others are the command."""
_MEMORY = 9  # of a node of 16 GB YARN has 12, and Spark adds a fifth
_RUNNING = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
_STATES = {"COMPLETED": "SUCCESS", "CANCEL_PENDING": "CANCELLING", "INTERRUPTED": "FAILED"}
_JOB = re.compile(r"(j-[0-9A-Z]{1,40})/(s-[0-9A-Z]{1,40})")
_LOOK_BACK = timedelta(days=30)
# EMR's managed policies ask for it
_TAGS = {**TAGS, "for-use-with-amazon-emr-managed-policies": "true"}


class EmrCluster:
    """EMR on EC2 of the account and region that boto3 finds. The id of a job is CLUSTER/STEP."""

    python = "/usr/bin/python3.11"  # of infra/emr/bootstrap.sh
    scheme = "s3://"

    def __init__(self, cloud: Cloud, logs: str) -> None:
        self._cloud, self._logs = cloud, logs
        self._emr: BaseClient = client("emr")
        self.region: str = self._emr.meta.region_name

    def capacity(self, executors: int) -> tuple[int, int]:
        """The primary node with the driver, and a node an executor."""
        return CORES * (executors + 1), GIGABYTES * (executors + 1)

    def dollars(self, executors: int, hours: float) -> float:
        """By node."""
        return (executors + 1) * hours * self._cloud.dollars_per_instance_hour

    def check(self) -> None:
        """The service's role, the nodes' instance profile, the bucket's region, and secrets that nothing would read."""
        cloud = self._cloud
        check_role(cloud.service_role, "cloud.service_role", SERVICE, ROLES)
        check_profile(cloud.instance_profile, "cloud.instance_profile", ROLES)
        check_region(self._logs, self.region)
        if named := [name for name, value in cloud.environment.items() if value.startswith("EMR.secret@")]:
            raise ConfigError(
                f"cloud.environment.{named[0]} names a secret, which EMR Serverless alone reads; jobs on emr-ec2 "
                "that need one cannot run: use --on emr"
            )

    def _clusters(self, states: tuple[str, ...] = ()) -> list[str]:
        """Ids of the clusters of the last days that were made here, newest first."""
        with explained("looking for clusters of EMR"):
            pages = self._emr.get_paginator("list_clusters").paginate(
                CreatedAfter=datetime.now(UTC) - _LOOK_BACK,
                **({"ClusterStates": list(states)} if states else {}),
            )
            named = [
                (one["Status"]["Timeline"]["CreationDateTime"], one["Id"])
                for page in pages
                for one in page["Clusters"]
                if one["Name"] == self._cloud.application
            ]
            return [one for _, one in sorted(named, reverse=True) if self._made_here(one)]

    def _made_here(self, cluster: str) -> bool:
        shown = self._emr.describe_cluster(ClusterId=cluster)["Cluster"]
        return {"Key": "managed-by", "Value": TAGS["managed-by"]} in shown.get("Tags", [])

    def _make(self, job: Submission) -> str:
        cloud = self._cloud
        groups = [("MASTER", 1), ("CORE", max(job.executors, cloud.executors))]
        network: dict[str, object] = {"Ec2SubnetId": cloud.subnets[0]} if cloud.subnets else {}
        if cloud.security_groups:
            network["AdditionalMasterSecurityGroups"] = list(cloud.security_groups)
            network["AdditionalSlaveSecurityGroups"] = list(cloud.security_groups)
        with explained(f"making the cluster {cloud.application} of EMR"):
            cluster: str = self._emr.run_job_flow(
                Name=cloud.application,
                LogUri=self._logs,
                ReleaseLabel=cloud.release,
                Applications=[{"Name": "Spark"}],
                Instances={
                    "InstanceGroups": [
                        {"InstanceRole": role, "InstanceType": cloud.instance_type, "InstanceCount": count}
                        for role, count in groups
                    ],
                    "KeepJobFlowAliveWhenNoSteps": True,
                    "TerminationProtected": False,
                    **network,
                },
                BootstrapActions=[
                    {
                        "Name": "packages",
                        "ScriptBootstrapAction": {
                            "Path": job.bootstrap,
                            "Args": [job.archive, job.requirements],
                        },
                    }
                ],
                AutoTerminationPolicy={"IdleTimeout": 60 * cloud.idle_minutes},
                StepConcurrencyLevel=4,
                ServiceRole=cloud.service_role,
                JobFlowRole=cloud.instance_profile,
                VisibleToAllUsers=True,
                Tags=[{"Key": key, "Value": value} for key, value in _TAGS.items()],
            )["JobFlowId"]
        return cluster

    def submit(self, job: Submission, say: Callable[[str], None]) -> Job:
        """Add a step. EMR has no tokens for steps: a step's name has it, and is looked for in all clusters first."""
        name = f"{job.name} {job.token}"
        for cluster in self._clusters():
            for one in self._steps(cluster):
                if one.name == name:
                    return one
        cluster = next(iter(self._clusters(_RUNNING)), "")
        if not cluster:
            say(f"making the cluster {self._cloud.application}")
            cluster = self._make(job)
        with explained(f"adding the job {job.name} to the cluster {cluster} of EMR"):
            (step,) = self._emr.add_job_flow_steps(
                JobFlowId=cluster,
                Steps=[
                    {
                        "Name": name,
                        "ActionOnFailure": "CONTINUE",
                        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": _command(job)},
                    }
                ],
            )["StepIds"]
        return self.job(f"{cluster}/{step}")

    def job(self, run: str) -> Job:
        """A step."""
        return self._read(*_parts(run))

    def _read(self, cluster: str, step: str) -> Job:
        with explained(f"looking for the job {cluster}/{step}"):
            shown = self._emr.describe_step(ClusterId=cluster, StepId=step).get("Step")
            if not shown:
                raise NotFoundError(f"the cluster {cluster} has no step {step}")
            status = shown["Status"]
            state = _STATES.get(status["State"], status["State"])
            why = status.get("FailureDetails") or status.get("StateChangeReason") or {}
            details = why.get("Message") or why.get("Reason") or ""
            if state in ("PENDING", "CANCELLED") and not details:
                # a step that never began: the cluster tells why
                there = self._emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
                details = f"the cluster is {there['State']}. {there['StateChangeReason'].get('Message') or ''}".strip()
        times = status.get("Timeline") or {}
        began, ended = times.get("StartDateTime"), times.get("EndDateTime")
        seconds = round(((ended or datetime.now(UTC)) - began).total_seconds()) if began else 0
        return Job(
            id=f"{cluster}/{step}",
            place=cluster,
            name=shown["Name"],
            state=state,
            details=details,
            created_at=times.get("CreationDateTime"),
            seconds=seconds,
            dollars=self.dollars(self._cloud.executors, seconds / 3600),
        )

    def _steps(self, cluster: str) -> list[Job]:
        with explained(f"listing the jobs of the cluster {cluster}"):
            pages = self._emr.get_paginator("list_steps").paginate(ClusterId=cluster)
            return [
                Job(
                    id=f"{cluster}/{one['Id']}",
                    place=cluster,
                    name=one["Name"],
                    state=_STATES.get(one["Status"]["State"], one["Status"]["State"]),
                    details=(one["Status"].get("FailureDetails") or {}).get("Message") or "",
                    created_at=one["Status"]["Timeline"].get("CreationDateTime"),
                )
                for page in pages
                for one in page["Steps"]
            ]

    def jobs(self, most: int) -> list[Job]:
        """The last steps of the clusters that were made here."""
        found: list[Job] = []
        for cluster in self._clusters():
            found += self._steps(cluster)
            if len(found) >= most:
                break
        return found[:most]

    def cancel(self, job: Job) -> None:
        """Ask for the end of a step. Raises RefusedError where EMR does not end it."""
        cluster, step = _parts(job.id)
        with explained(f"cancelling the job {job.id}"):
            answers = self._emr.cancel_steps(
                ClusterId=cluster, StepIds=[step], StepCancellationOption="TERMINATE_PROCESS"
            )["CancelStepsInfoList"]
        if refused := [one.get("Reason", "") for one in answers if one["Status"] == "FAILED"]:
            raise RefusedError(f"EMR does not end the job {job.id}: {refused[0]}")

    def log(self, job: Job, stream: str) -> str:
        """The log of the step."""
        cluster, step = _parts(job.id)
        return read_log(self._logs, f"{cluster}/steps/{step}", stream, job.id)

    def inputs(self, job: Job) -> str:
        """What EMR shows of a step."""
        cluster, step = _parts(job.id)
        with explained(f"looking for the job {job.id}"):
            shown = self._emr.describe_step(ClusterId=cluster, StepId=step)["Step"]
        return json.dumps(shown, default=str)

    def leftovers(self) -> list[Leftover]:
        """The clusters that run, and were made here."""
        found = []
        for cluster in self._clusters(_RUNNING):
            running = [job.id for job in self._steps(cluster) if not job.ended]
            keep = f"its job {running[0]} runs" if running else ""
            found.append(Leftover("cluster", cluster, self._cloud.application, keep))
        return found

    def remove(self, leftover: Leftover) -> None:
        """Terminate a cluster."""
        with explained(f"ending the cluster {leftover.name} of EMR"):
            self._emr.terminate_job_flows(JobFlowIds=[leftover.name])


def _parts(run: str) -> tuple[str, str]:
    found = _JOB.fullmatch(run)
    if not found:
        raise ConfigError(f"{run[:64]!r} is no id of a job, CLUSTER/STEP; `activity cloud list` shows them")
    return found[1], found[2]


def _command(job: Submission) -> list[str]:
    """The command line of a step. The driver's variables are its process's, the executors' are Spark's."""
    conf = {
        **sizes(job.executors, _MEMORY),
        **environment(job),
        **({"spark.jars": ",".join(job.jars)} if job.jars else {}),
    }
    limit = ["timeout", "--signal=TERM", f"{job.minutes}m"] if job.minutes else []
    variables = [f"{name}={value}" for name, value in {**job.variables, **job.driver}.items()]
    spark = ["spark-submit", "--deploy-mode", "client", "--archives", f"{job.archive}#activity"]
    spark += [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
    return [
        *("bash", "-c", UNPACK, "activity", job.archive),
        *(*limit, "env", *variables, *spark, job.entry, *job.arguments),
    ]
