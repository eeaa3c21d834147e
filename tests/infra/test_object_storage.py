"""The lake and the archive in object storage: against moto's S3 over HTTP, where it is installed.

Spark's own way to s3:// and gs:// needs its file systems (EMR and Dataproc bring them) and is not tested here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activitymodule import settings as config
from activitymodule.errors import ConfigError, DataError
from activitymodule.lake.snapshots import read_evaluation, write_evaluation
from activitymodule.settings import Archive, Kafka, Lake, Settings
from activitymodule.workflows.statistics import prepared_sources
from annotation.archived import archived_records


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket of boto3's in an S3 of this process; pyarrow finds it by the environment."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    import boto3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    # moto keeps what it has for as long as the process lives
    made = boto3.resource("s3").create_bucket(
        Bucket=f"lake-{uuid.uuid4().hex}", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    yield made
    server.stop()


def test_what_a_run_kept_comes_back(bucket: Any) -> None:
    settings = Settings(lake=Lake(folder=f"s3://{bucket.name}/deep/er"))
    arrays = {"probability": np.arange(6.0).reshape(2, 3)}
    place = write_evaluation(settings, "a-run", arrays)
    keys = [found.key for found in bucket.objects.all()]
    assert [key for key in keys if not key.endswith("/")] == [f"deep/er/{place}"], "and no half-written file"
    np.testing.assert_array_equal(read_evaluation(settings, "a-run")["probability"], arrays["probability"])
    with pytest.raises(DataError):
        read_evaluation(settings, "another-run")


def test_the_console_finds_readings_in_the_archive(bucket: Any, tmp_path: Path) -> None:
    """As on a disk: by the date of the folder and when a file was written, of one watch only."""
    now = datetime.now(UTC)
    stamps = [(now - timedelta(seconds=s)).isoformat() for s in (3, 2, 1)]
    message = '{{"device_id":"{}","stamp":"{}","yaw":0.5}}'
    table = pa.table(
        {
            "key": pa.array([b"w-1", b"w-1", b"w-2"], pa.binary()),
            "value": pa.array(
                [message.format(d, s).encode() for d, s in zip(("w-1", "w-1", "w-2"), stamps, strict=True)],
                pa.binary(),
            ),
        }
    )
    pq.write_table(table, tmp_path / "part.parquet")
    key = f"archive/a-topic/date={now:%Y-%m-%d}/part-0.parquet"
    bucket.put_object(Key=key, Body=(tmp_path / "part.parquet").read_bytes())
    settings = Settings(archive=Archive(folder=f"s3://{bucket.name}/archive"), kafka=Kafka(topic="a-topic"))
    assert len(archived_records(settings, "w-1", now - timedelta(minutes=1), now)) == 2
    assert len(archived_records(settings, "w-2", now - timedelta(minutes=1), now)) == 1
    assert len(archived_records(settings, "w-1", now - timedelta(days=9), now - timedelta(days=8))) == 0
    assert len(archived_records(settings, "w-3", now - timedelta(minutes=1), now)) == 0


@pytest.mark.parametrize("address", ["s3://lake", "gs://lake/prepared"])
def test_what_needs_a_folder_says_so_of_an_address(address: str) -> None:
    """Before, an address became a folder called `s3:` beside the project."""
    with pytest.raises(ConfigError, match=f"{address} is an address.*aws s3 sync.*gcloud storage rsync"):
        config.resolve(address)
    assert prepared_sources(Settings(lake=Lake(folder=address))) == []
