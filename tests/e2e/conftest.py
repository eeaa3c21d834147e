"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ledger import Job

from activitymodule.settings import Settings


@pytest.fixture
def job(tmp_path: Path, environment_of: Callable[[Settings], dict[str, str]]):
    """Make jobs; those that still run at the end are killed, and a failed test shows their output."""
    jobs: list[Job] = []

    def make(settings: Settings, *arguments: str) -> Job:
        made = Job(list(arguments), environment_of(settings), tmp_path / f"{arguments[0]}-{len(jobs)}.log")
        jobs.append(made)
        return made.start()

    yield make
    for made in jobs:
        if made.process is not None and made.process.poll() is None:
            made.kill()
        print(f"--- {' '.join(made.arguments)}\n{made.output}")
