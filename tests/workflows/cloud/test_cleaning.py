"""What `activity cloud clean` takes away, and what it never does."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
import pytest
from faulty_cloud import Fault, FaultyCloud
from own_engines import Cluster, Serverless, backend
from own_settings import replaced

from activitymodule.errors import NotAllowedError
from activitymodule.workflows.cloud import catalogue, cleaning, running
from activitymodule.workflows.cloud.running import Request


def test_uploads_that_were_not_completed_within_a_day(faulty: FaultyCloud) -> None:
    config = Serverless(faulty).make()
    s3 = boto3.client("s3")
    for key in ("jobs/raw/a.zip", "lake/b.parquet"):
        s3.create_multipart_upload(Bucket="raw", Key=key)
    # moto begins all of them then
    assert cleaning.find(config, now=datetime(2010, 11, 11, tzinfo=UTC)) == []
    (found,) = cleaning.find(config)
    assert found.name.startswith("jobs/raw/a.zip ")
    assert cleaning.find(config, "emr") == [], "an engine alone"
    for _ in range(2):
        assert cleaning.remove(config, [found]) == [found]
    left = s3.list_multipart_uploads(Bucket="raw")["Uploads"]
    assert [one["Key"] for one in left] == ["lake/b.parquet"], "the lake's are not ours to end"
    s3.abort_multipart_upload(Bucket="raw", Key="lake/b.parquet", UploadId=left[0]["UploadId"])


def test_tables_go_on_demand_and_the_lake_stays(faulty: FaultyCloud) -> None:
    config = replaced(Serverless(faulty).make(), lake={"folder": "s3://raw/lake"})
    place = "lake/prepared/casas/person=p1/date=2026-01-01/part-0.parquet"
    s3 = boto3.client("s3")
    s3.put_object(Bucket="raw", Key=place, Body=b"kept")
    catalogue.update(config)
    glue = boto3.client("glue")
    # another's, of the same name as none of ours, and one of ours that somebody moved
    glue.create_table(DatabaseName="activity", TableInput={"Name": "theirs"})
    glue.update_table(
        DatabaseName="activity",
        TableInput={"Name": "daily", "StorageDescriptor": {"Columns": [], "Location": "s3://raw/other/"}},
    )
    assert cleaning.find(config) == []
    found = cleaning.find(config, tables_too=True)
    assert [one.name for one in found] == ["history", "recordings"]
    for _ in range(2):
        cleaning.remove(config, found)
    assert cleaning.find(config, tables_too=True) == []
    left = glue.get_tables(DatabaseName="activity")["TableList"]
    assert {one["Name"] for one in left} == {"daily", "theirs"}
    assert s3.get_object(Bucket="raw", Key=place)["Body"].read() == b"kept"


def test_what_was_made_by_others_stays(faulty: FaultyCloud) -> None:
    """Terraform's application is used, and never removed; a cluster that has our name alone is not even used."""
    config = Serverless(faulty).make()
    running.submit(config, Request("days"))
    (application,) = backend("emr-serverless").applications.values()
    application.tags = {"project": "activity", "managed-by": "terraform"}
    (kept,) = cleaning.find(config)
    assert "not made by" in kept.keep
    on_ec2 = Cluster(faulty).make()
    running.submit(on_ec2, Request("days"))
    ((first, cluster),) = backend("emr").clusters.items()
    cluster.remove_tags(["managed-by"])
    assert running.jobs(on_ec2, 10) == []
    running.submit(on_ec2, Request("days"))
    assert len(backend("emr").clusters) == 2
    assert [one.name for one in cleaning.find(on_ec2, "emr-ec2")] != [first]


def test_what_cannot_be_removed_stops_nothing_else(faulty: FaultyCloud) -> None:
    config = Serverless(faulty).make()
    Cluster(faulty).make()
    for name in ("emr", "emr-ec2"):
        job = running.submit(config, Request("days", on=name))
        if name == "emr-ec2":
            Cluster(faulty).set(job, "SUCCESS")
    faulty.faults.append(Fault("emr-serverless DeleteApplication", 403, "AccessDeniedException"))
    said: list[str] = []
    with pytest.raises(NotAllowedError, match="DeleteApplication"):
        cleaning.remove(config, cleaning.find(config), say=said.append)
    assert [text.split()[0] for text in said] == ["application", "cluster"]
    assert [one.kind for one in cleaning.find(config)] == ["application"]
    cleaning.remove(config, cleaning.find(config))
    assert cleaning.find(config) == []
