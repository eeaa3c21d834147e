"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger import Job
from verbs import Verbs

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


@pytest.fixture(scope="session")
def one_after_the_other(
    environment_of: Callable[[Settings], dict[str, str]],
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """A function: settings, a verb and its arguments -> its end. All in one process, so that Java and Spark start
    once for all tests: a start takes nine times the processor time of a run."""
    with Verbs(fork=False) as verbs:
        yield lambda settings, *arguments: verbs.run(environment_of(settings), *arguments)
