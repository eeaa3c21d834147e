"""The clouds of this process, for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from faulty_cloud import FaultyCloud, faulty_cloud
from own_cloud import moto_server, own_cloud
from own_engines import Batches, Case, Cluster, Serverless, backend
from own_google import OwnGoogle, own_google


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    with moto_server() as address:
        yield address


@pytest.fixture(scope="module")
def aws(moto: str) -> Iterator[str]:
    """The address of moto's server, which has the bucket `raw` and nothing else."""
    with own_cloud(moto):
        boto3.client("s3").create_bucket(
            Bucket="raw", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield moto


@pytest.fixture(scope="module")
def all_of_google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnGoogle]:
    """Dataproc, and a Cloud Storage with the bucket `raw`."""
    with own_google(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture
def google(all_of_google: OwnGoogle) -> Iterator[OwnGoogle]:
    """Dataproc and Cloud Storage; batches and faults are forgotten afterwards."""
    yield all_of_google
    all_of_google.batches.clear()
    all_of_google.faults.clear()
    all_of_google.signed_in = True


@pytest.fixture(scope="module")
def before_aws(aws: str) -> Iterator[FaultyCloud]:
    """A server before moto's."""
    with faulty_cloud(aws) as cloud:
        yield cloud


@pytest.fixture
def faulty(before_aws: FaultyCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyCloud]:
    """A server before moto's, with faults; what it has of jobs and roles is forgotten afterwards."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", before_aws.address)
    yield before_aws
    problems = before_aws.problems
    before_aws.reset()
    assert problems == [], "botocore's models have it otherwise"
    for service in ("emr", "emr-serverless", "iam", "glue"):
        backend(service).reset()


@pytest.fixture(autouse=True)
def one_client_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands make each client once: making one takes as long as several calls of it, and a test is many commands."""
    made: dict[object, BaseClient] = {}
    real = boto3.client

    def client(service: str, **options: Any) -> BaseClient:
        named = {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
        key = str((service, options, named))
        made[key] = made.get(key) or real(service, **options)
        return made[key]

    monkeypatch.setattr(boto3, "client", client)


@pytest.fixture(params=["emr", "emr-ec2", "dataproc"])
def case(request: pytest.FixtureRequest) -> Case:
    """Each engine in turn."""
    if request.param == "dataproc":
        return Batches(request.getfixturevalue("google"))
    faulty = request.getfixturevalue("faulty")
    return Serverless(faulty) if request.param == "emr" else Cluster(faulty)


@pytest.fixture(autouse=True)
def no_lookup_of_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's library asks an address of its own in which regions an account may be used: not from a test."""
    monkeypatch.setattr(
        "google.oauth2.service_account.Credentials._build_regional_access_boundary_lookup_url",
        lambda *_, **__: None,
    )
