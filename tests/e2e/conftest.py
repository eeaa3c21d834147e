"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ledger import Job

from activitymodule.registry.versions import ModelVersion, register, set_champion
from activitymodule.settings import Settings


@pytest.fixture
def job(tmp_path: Path, environment_of: Callable[[Settings], dict[str, str]]):
    """Make jobs; whatever still runs at the end is killed, and a failed test shows what they said."""
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
def trained(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of a small activity and a small energy model, trained once on a few synthesised people."""
    from activitymodule.jobs.train import Request, train

    folder = tmp_path_factory.mktemp("models")
    train(
        Request(what="both", data="synthetic", devices=6, minutes=10, folds=2, folder=folder), stack_settings
    )
    return folder


@pytest.fixture
def champion(fresh_settings: Settings, trained: Path) -> ModelVersion:
    """Both models registered under this test's names, and serving; the classifier's version."""
    registry = fresh_settings.registry
    serving = register(fresh_settings, registry.classifier, trained / "activity", {})
    for version in (serving, register(fresh_settings, registry.regressor, trained / "energy", {})):
        set_champion(fresh_settings, version)
    return serving
