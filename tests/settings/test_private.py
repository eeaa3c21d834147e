"""Files of the project are its user's alone, those of older versions too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_settings import replaced
from private import readable_by_others

from activitymodule import settings as config
from activitymodule.settings import Settings, keep_private, make_private, private_folders


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replaced(
        config.load({}),
        local={"folder": str(tmp_path / "local"), "artifacts": str(tmp_path / "local" / "mlflow")},
        airflow={"folder": str(tmp_path / "local" / "airflow")},
        spark={"checkpoints": "s3://elsewhere/checkpoints"},
        archive={"folder": str(tmp_path / "lake" / "archive")},
        lake={"folder": str(tmp_path / "lake")},
    )


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_old_files_are_made_private_once(settings: Settings, tmp_path: Path, usual_umask: None) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("not the project's")
    for name in (
        "local/logs/kafka.log",
        "local/kafka/data/a b/0.log",
        "lake/archive/t/date=1/x.parquet",
        "lake/run.sh",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("health")
    (tmp_path / "lake" / "run.sh").chmod(0o775)
    (tmp_path / "lake" / "link").symlink_to(outside)
    local, lake = tmp_path / "local", tmp_path / "lake"
    assert {local, lake} <= set(private_folders(settings))
    assert lake / "archive" not in private_folders(settings), "it is within the lake"

    assert make_private(settings) > 0
    # as root PostgreSQL's own user passes through the stack's folder
    assert readable_by_others(*(entry for entry in (*local.iterdir(), lake))) == []
    assert local.stat().st_mode & 0o066 == 0
    assert (lake / "run.sh").stat().st_mode & 0o777 == 0o700
    assert outside.stat().st_mode & 0o777 == 0o644, "links are not followed"
    assert make_private(settings) == 0


def test_new_files_are_private_in_children_too(tmp_path: Path, usual_umask: None) -> None:
    keep_private()
    subprocess.run(
        [sys.executable, "-c", "import os; os.mkdir('made'); open('made/file', 'w')"],
        cwd=tmp_path,
        check=True,
    )
    assert readable_by_others(tmp_path / "made") == []


def test_every_verb_writes_private_files(tmp_path: Path, usual_umask: None) -> None:
    target = tmp_path / "written"
    code = f"""
import activitymodule.cli as cli
try:
    cli.main(["--version"])
except SystemExit:
    open({str(target)!r}, "w")
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert readable_by_others(target) == []
