"""A verb in the background: its exit code, its log, and its end."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from activitymodule import __version__
from activitymodule.workflows import background
from activitymodule.workflows.background import running


def test_a_job_has_an_exit_code_and_a_log(tmp_path: Path) -> None:
    with running(["--version"], tmp_path / "logs" / "version.log") as job:
        assert job.process.wait(30) == 0
        assert job.exit_code == 0
        assert job.last_line() == f"{__version__} (the whole log: {job.log})"


def test_a_silent_job(tmp_path: Path) -> None:
    with running(["status", "--help"], tmp_path / "a.log") as job:
        job.process.wait(30)
        job.log.write_text("\n")
        assert job.last_line() == f"it printed nothing ({job.log})"


def test_it_ends_with_the_block_and_takes_its_children_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print('up', flush=True); time.sleep(60)"
    monkeypatch.setattr(background, "command", lambda arguments: [sys.executable, "-c", script])
    with running([], tmp_path / "a.log", gives_way=True) as job:
        while "up" not in job.log.read_text():
            assert job.exit_code is None
        (child,) = psutil.Process(job.process.pid).children()
        lowered = min(os.nice(0) + 10, 19)
        assert [psutil.Process(job.process.pid).nice(), child.nice()] == [lowered, lowered]
    assert job.exit_code is not None
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.05)
