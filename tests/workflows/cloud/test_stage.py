"""Code and jars in the staging bucket: only what changed is copied, and a job finds all it needs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import boto3
import pytest
from own_settings import replaced
from web_archive import Page, web_archive

from activitymodule.errors import ConfigError
from activitymodule.settings import Settings, project_root
from activitymodule.workflows.cloud.stage import stage, staged

SETTINGS = replaced(Settings(), cloud={"staging": "s3://raw/stage"})


def checkout(folder: Path) -> None:
    """A small project."""
    for name in (
        "activitymodule/a.py",
        "spark/run_verb.py",
        "spark/other.py",
        "jars/spark/x.jar",
        "pyproject.toml",
        "infra/emr/bootstrap.sh",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "requirements.lock").write_text("a==1")


def test_only_what_changed_is_copied(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout(tmp_path)
    monkeypatch.setenv("ACTIVITY_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="activity cloud stage"):
        staged(SETTINGS)
    first = stage(SETTINGS)
    assert (first.uploaded, first.kept) == (6, 0)
    assert staged(SETTINGS) == first.staged
    assert first.staged.entry.startswith("s3://raw/stage/staged/spark/")
    assert first.staged.entry.endswith("/run_verb.py")
    for place in (first.staged.code, first.staged.entry, first.staged.requirements, *first.staged.jars):
        boto3.client("s3").head_object(Bucket="raw", Key=place.removeprefix("s3://raw/"))
    (tmp_path / "activitymodule" / "a.py").touch()
    (tmp_path / "activitymodule" / "__pycache__").mkdir()
    (tmp_path / "activitymodule" / "__pycache__" / "a.pyc").write_text("x")
    assert (stage(SETTINGS).uploaded, stage(SETTINGS).kept) == (0, 6)
    (tmp_path / "activitymodule" / "a.py").write_text("changed")
    second = stage(SETTINGS)
    assert (second.uploaded, second.kept) == (1, 5)
    assert second.staged.code != first.staged.code
    assert second.staged.jars == first.staged.jars


def test_a_verb_runs_from_what_is_staged(aws: str, tmp_path: Path) -> None:
    """As on EMR: the archive is unpacked beside the job, which begins with the script."""
    settings = replaced(SETTINGS, spark={"jars": str(tmp_path / "none")})
    report = stage(settings, "s3://raw/whole")
    client = boto3.client("s3")
    code, entry = (
        client.get_object(Bucket="raw", Key=place.removeprefix("s3://raw/"))["Body"].read()
        for place in (report.staged.code, report.staged.entry)
    )
    with tarfile.open(fileobj=io.BytesIO(code)) as tar:
        tar.extractall(tmp_path / "activity", filter="data")
    (tmp_path / "run_verb.py").write_bytes(entry)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ACTIVITY_")}
    done = subprocess.run(
        [sys.executable, "run_verb.py", "config", "kafka", "--json"],
        env={**clean, "PYTHONPATH": "./activity", "ACTIVITY_HOME": "./activity"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {one["key"] for one in json.loads(done.stdout)} >= {"kafka.topic"}
    assert (tmp_path / "activity" / "config.yaml").read_bytes() == (
        project_root() / "config.yaml"
    ).read_bytes()


def test_init_brings_raw_data_and_code_into_the_bucket(aws: str, tmp_path: Path) -> None:
    """The script itself, twice, in this checkout, which is set up already."""
    root = project_root()
    locked = hashlib.sha256((root / "requirements.lock").read_bytes()).hexdigest()
    if (root / ".venv" / ".requirements.sha256").read_text().split()[0] != locked:
        pytest.skip("this checkout is not set up; run ./init.sh")
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "one.jar").write_bytes(b"1")
    recordings = io.BytesIO()
    with zipfile.ZipFile(recordings, "w") as archive:
        archive.writestr("p1.csv", "1")
    with web_archive() as web:
        web.pages["c01.zip"] = Page(recordings.getvalue())
        files = [{"name": "c01.zip", "address": web.address("c01.zip")}]
        (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
        variables = {
            "ACTIVITY_CLOUD__STAGING": "s3://raw/init",
            "ACTIVITY_FETCH__MANIFESTS": json.dumps({"casas": str(tmp_path / "manifest.json")}),
            "ACTIVITY_SPARK__JARS": str(tmp_path / "jars"),
            "DOCKER_HOST": "tcp://127.0.0.1:1",  # images are not built
        }
        written, asked = [], []
        for _ in range(2):
            done = subprocess.run(
                ["./init.sh", "--stage", "casas"],
                cwd=root,
                env=os.environ | variables,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            found = boto3.resource("s3").Bucket("raw").objects.filter(Prefix="init/")
            written.append({one.key.removeprefix("init/"): one.last_modified for one in found})
            asked.append(sum(web.asked.values()))
    assert asked[0] == asked[1] > 0, "the second run fetches nothing"
    first, second = written
    assert {"raw/casas/c01/p1.csv", "raw/casas/_fetched/c01.zip.json", "staged/current.json"} <= set(first)
    kinds = {key.split("/")[1] for key in first if key.startswith("staged/")}
    assert {"code", "jars", "spark"} <= kinds
    assert {key for key in second if first.get(key) != second[key]} <= {"staged/current.json"}


@pytest.mark.parametrize("place", [None, "folder", "²", "s3://"])
def test_no_place_to_stage_to(place: str | None, aws: str) -> None:
    with pytest.raises(ConfigError):
        stage(Settings(), place)
