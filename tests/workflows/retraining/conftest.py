"""A weak champion, and gold labels of people it does not know."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_settings import serve

from activitymodule.learning.challenger import train_challenger
from activitymodule.models.dataset import TrainingWindows, windows_of_readings
from activitymodule.registry import versions as registry
from activitymodule.settings import Settings, Windows
from activitymodule.store.connection import session
from activitymodule.synthesis.history import training_readings
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.workflows.retraining import training

_QUEUE = """
INSERT INTO queue_items (device_id, window_start, window_end, stratum, reason, propensity, readings, features,
    features_version, activity, probabilities, conformal_set, model_version, expires_at)
VALUES (%s, to_timestamp(%s), to_timestamp(%s), %s, 'test', %s, '', %s, %s, 'sitting', '{1}', '{sitting}', '1',
    now() + interval '1 day')
"""
_ANSWER = """
INSERT INTO annotations (device_id, window_start, window_end, annotator, answer, label, origin)
VALUES (%s, to_timestamp(%s), to_timestamp(%s), 'ann', 'label', %s, 'oracle')
"""


@pytest.fixture
def with_topics() -> bool:
    """No test here sends or reads messages."""
    return False


@pytest.fixture(autouse=True)
def few_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A challenger is trained three times and not six: how good it is of itself is no matter here."""
    monkeypatch.setattr(training, "train_challenger", partial(train_challenger, folds=2))


@pytest.fixture(scope="session")
def fleet() -> TrainingWindows:
    """Windows of 40 people the base does not know, with their true activity."""
    made = training_readings(40, 12, 2)
    windows = windows_of_readings(made.readings, Windows(), made.people)
    return windows.take(np.flatnonzero(windows.activity != ""))


@pytest.fixture
def label_some(fresh_settings: Settings, fleet: TrainingWindows) -> Callable[..., None]:
    """A function: puts windows of the fleet into the queue and answers them with the truth, far apart in time."""

    def label(teaching: int, audit: int, *, seed: int = 0, first_second: int = 0, apart: int = 100) -> None:
        dice = np.random.default_rng(seed)
        rows = dice.choice(len(fleet), teaching + audit, replace=False)
        with session(fresh_settings) as connection, connection.cursor() as cursor:
            for k, row in enumerate(rows):
                start = 1_700_000_000 + first_second + apart * k
                stratum = "audit" if k < audit else "doubt"
                device, features = str(fleet.person[row]), fleet.features[row].tolist()
                cursor.execute(_QUEUE, (device, start, start + 10, stratum, 0.1, features, FEATURES_VERSION))
                cursor.execute(_ANSWER, (device, start, start + 10, str(fleet.activity[row])))

    return label


@pytest.fixture
def serving(fresh_settings: Settings, weak_model: Path) -> registry.ModelVersion:
    """The weak classifier as champion."""
    version = registry.register(fresh_settings, fresh_settings.registry.classifier, weak_model, {})
    serve(fresh_settings, version)
    return version


@pytest.fixture
def one_watch(fresh_settings: Settings, fleet: TrainingWindows) -> Callable[[list[str]], None]:
    """A function: puts windows of one watch into the queue, 10 s apart, one a stratum, and answers them."""

    def label(strata: list[str]) -> None:
        with session(fresh_settings) as connection, connection.cursor() as cursor:
            for k, stratum in enumerate(strata):
                start = 1_700_000_000 + 10 * k
                features: list[Any] = fleet.features[k].tolist()
                cursor.execute(_QUEUE, ("one", start, start + 10, stratum, 0.1, features, FEATURES_VERSION))
                cursor.execute(_ANSWER, ("one", start, start + 10, str(fleet.activity[k])))

    return label
