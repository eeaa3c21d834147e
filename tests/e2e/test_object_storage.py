"""The streaming job with checkpoint, archive, lake and models in S3, killed again and again: nothing is lost.

Spark reads and writes there by Hadoop's file system for S3, whose jars come from Maven Central the first time.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
import requests
from ledger import Job, Ledger, Load, assert_ledger, everything_read, stored, until
from own_settings import register_champion, replaced

from activitymodule.embedded.processes import any_free_port, wait_until
from activitymodule.embedded.stack import Stack
from activitymodule.kafka.clients import topic_ends
from activitymodule.lake.archive import ArrowFiles, archive_path, message_files
from activitymodule.settings import Settings, project_root
from activitymodule.streaming import jars
from activitymodule.workflows.archiving import archive_report

pytestmark = [pytest.mark.soak, pytest.mark.e2e, pytest.mark.integration]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 in a process of its own, which has the bucket `raw`."""
    port = any_free_port()
    address = f"http://127.0.0.1:{port}"
    variables = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "NO_PROXY": "127.0.0.1",
    }

    def answers() -> bool:
        try:
            return requests.get(f"{address}/moto-api/", timeout=1).ok
        except requests.RequestException:
            return False

    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        try:
            assert wait_until(answers, 60, pause=0.2)
            boto3.client("s3").create_bucket(
                Bucket="raw", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
            )
            yield address
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def stack(s3: str, stack_settings: Settings) -> Iterator[Stack]:
    """Services of their own: the registry keeps its models in S3."""
    folder = Path(tempfile.mkdtemp(prefix="activity-tests-"))
    folder.chmod(0o711)
    running = Stack(
        replaced(
            stack_settings,
            local={"folder": str(folder), "artifacts": "s3://raw/models"},
            store={"port": any_free_port()},
            kafka={"bootstrap_servers": f"127.0.0.1:{any_free_port()}"},
            registry={"uri": f"http://127.0.0.1:{any_free_port()}"},
        )
    )
    try:
        running.up(tied=True)
        yield running
    finally:
        running.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(s3: str, fresh_settings: Settings, tmp_path: Path) -> Settings:
    """With everything that lasts in S3; a batch follows the other at once."""
    root, folder = project_root(), tmp_path / "jars"
    jars.fetch(root, folders=("s3",))
    folder.mkdir()
    for jar in (*root.glob("jars/spark/*.jar"), *root.glob("jars/s3/*.jar")):
        (folder / jar.name).symlink_to(jar)
    return replaced(
        fresh_settings,
        lake={"folder": "s3://raw/lake"},
        archive={"folder": "s3://raw/archive", "interval_seconds": 5},
        scoring={"trigger_milliseconds": 0},
        spark={
            "checkpoints": "s3://raw/checkpoints",
            "jars": str(folder),
            "options": {
                "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
                "spark.hadoop.fs.s3a.endpoint": s3,
                "spark.hadoop.fs.s3a.endpoint.region": "eu-central-1",
                "spark.hadoop.fs.s3a.path.style.access": "true",
            },
        },
    )


def keys(prefix: str) -> list[str]:
    return [one.key for one in boto3.resource("s3").Bucket("raw").objects.filter(Prefix=prefix)]


def test_killed_again_and_again_with_all_that_lasts_in_s3(
    settings: Settings, trained: Path, job: Callable[..., Job], tmp_path: Path
) -> None:
    register_champion(settings, trained)
    assert any(key.endswith(".skops") for key in keys("models/"))
    ledger = Ledger()
    load = Load(settings, ledger, devices=10, at_most_seconds=400)
    load.start()
    dice = random.Random(5)
    for _ in range(3):
        scorer = job(settings, "score")
        seen = len(stored(settings))
        until(lambda seen=seen: len(stored(settings)) > seen, "new windows", running=scorer)
        time.sleep(dice.uniform(0.2, 5))  # anywhere in a batch
        scorer.kill()
    scorer = job(settings, "score")
    load.finish()
    until(lambda: everything_read(settings), "the job to read everything", running=scorer)
    assert_ledger(settings, ledger)
    until(lambda: archive_report(settings).behind == 0, "the archive", running=scorer)
    assert scorer.interrupt() == 0
    assert "the checkpoint is missing" not in scorer.output
    checkpoint = f"checkpoints/score-{settings.kafka.topic}"
    assert {f"{checkpoint}/{name}" for name in ("metadata", "topic.json")} <= set(keys(checkpoint))
    assert [key for key in keys(f"{checkpoint}/commits/") if not key.endswith("/")]
    assert not list(tmp_path.glob("checkpoints*")), "nothing that lasts is on this machine"
    assert archived_messages(settings) == sum(
        last for _, last in topic_ends(settings, settings.kafka.topic).values()
    )


def archived_messages(settings: Settings) -> int:
    files: Any = ArrowFiles(archive_path(settings))
    days = message_files(files, files.base, None, None)
    return sum(pq.read_metadata(path, filesystem=files.system).num_rows for day in days for path in day.paths)
