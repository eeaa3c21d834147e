"""Windows with a known answer: three activities that differ in a few features, people who differ in all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drift_judges import judge, people

from activitymodule.models import export
from activitymodule.models.activity import feature_names
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import PersonColumns
from activitymodule.models.training import ActivityTraining, EnergyTraining, train_activity, train_energy
from activitymodule.settings import Models, Settings, load
from activitymodule.windows.features import FEATURE_NAMES

__all__ = ["judge", "people"]

LABELS = ("climbing", "resting", "rowing")


def make_windows(people: int = 8, each: int = 12, seed: int = 0, clarity: float = 1.5) -> TrainingWindows:
    """`each` windows of every activity and person; energy by kilogram = activity + heart rate."""
    dice = np.random.default_rng(seed)
    n = people * each * len(LABELS)
    person = np.repeat(np.arange(people), each * len(LABELS))
    code = np.tile(np.repeat(np.arange(len(LABELS)), each), people)
    X = dice.normal(size=(n, len(FEATURE_NAMES))) + dice.normal(scale=0.5, size=(people, 1))[person]
    known = dice.permutation(len(feature_names()))[:60]
    X[:, known] += clarity * dice.normal(size=(len(LABELS), len(known)))[code] / 3
    heart = FEATURE_NAMES.index("heart_mean")
    X[:, heart] = 60 + 30 * code + dice.normal(scale=5, size=n)
    weight = dice.uniform(50, 100, people)[person]
    return TrainingWindows(
        features=X.astype(np.float32),
        activity=np.array(LABELS)[code],
        person=np.array([f"p{k}" for k in person]),
        run=person * len(LABELS) + code,
        kcal_per_min=((1 + code + X[:, heart] / 100) * weight / 75).astype(np.float32),
        people=PersonColumns(
            age_years=np.full(n, 40, np.float32),
            sex=np.array(["female", "male"], object)[person % 2],
            height_cm=np.full(n, 170, np.float32),
            weight_kg=weight.astype(np.float32),
            resting_heart_rate_bpm=np.full(n, 60, np.float32),
        ),
    )


@pytest.fixture(scope="session")
def config() -> Settings:
    return load({})


@pytest.fixture(scope="session")
def toy() -> TrainingWindows:
    return make_windows()


@pytest.fixture(scope="session")
def crowd() -> TrainingWindows:
    """Windows of 40 people, p0 to p39."""
    return make_windows(people=40, each=6, seed=4)


@pytest.fixture(scope="session")
def trained(toy: TrainingWindows, config: Settings) -> ActivityTraining:
    return train_activity(toy, config, folds=3)


@pytest.fixture(scope="session")
def trained_energy(toy: TrainingWindows, trained: ActivityTraining, config: Settings) -> EnergyTraining:
    return train_energy(toy, trained.activities(), trained.card.labels, config, folds=3)


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """A function: (folder, training, limits) -> that folder with the model's files, without lineage."""

    def written(folder: Path, training: ActivityTraining | EnergyTraining) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        export.write_folder(folder, training.pipeline, training.card, training.report.as_json(), Models())
        return folder

    return written


@pytest.fixture(scope="session")
def folders(
    tmp_path_factory: pytest.TempPathFactory,
    write: Callable[..., Path],
    trained: ActivityTraining,
    trained_energy: EnergyTraining,
) -> tuple[Path, Path]:
    """Folders of a classifier and a regressor."""
    root = tmp_path_factory.mktemp("models")
    return write(root / "activity", trained), write(root / "energy", trained_energy)
