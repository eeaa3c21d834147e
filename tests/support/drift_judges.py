"""Synthesised watches, a quick stand-in for the classifier and its baseline: what the tests of drift look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from activitymodule import settings
from activitymodule.models.baseline import Baseline, Counter, Totals, baseline_of
from activitymodule.models.dataset import TrainingWindows, windows_of_readings
from activitymodule.synthesis.history import training_readings

Change = Callable[[pa.Table], pa.Table]


def model() -> Pipeline:
    """Linear, so that it is fitted in no time; drift does not ask what the classifier is made of."""
    return make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(C=0.03, max_iter=1000)
    )


@dataclass(frozen=True)
class Judge:
    """A model with its baseline; `look` counts other people's windows as the stream does."""

    fitted: Pipeline
    labels: tuple[str, ...]
    baseline: Baseline

    def look(self, data: TrainingWindows) -> Totals:
        probabilities = self.fitted.predict_proba(data.features).astype(np.float32)
        return Counter(self.baseline).totals(data.features, probabilities, np.arange(len(data)))


def judge_of(data: TrainingWindows) -> Judge:
    labels, truth = np.unique(data.activity, return_inverse=True)
    people = np.unique(data.person)
    held_out = np.zeros((len(data), len(labels)), np.float32)
    for fold in range(3):
        test = np.isin(data.person, people[fold::3])
        held_out[test] = model().fit(data.features[~test], truth[~test]).predict_proba(data.features[test])
    names = tuple(str(label) for label in labels)
    baseline = baseline_of(data.features, held_out, names, data.person)
    return Judge(model().fit(data.features, truth), names, baseline)


@pytest.fixture(scope="session")
def people() -> TrainingWindows:
    """Windows of 24 people over 20 minutes: what the judge was trained on."""
    return windows_of_readings(training_readings(24, 20, 1).readings, settings.Windows())


@pytest.fixture(scope="session")
def judge(people: TrainingWindows) -> Judge:
    return judge_of(people)


@pytest.fixture(scope="session")
def fleet_readings() -> pa.Table:
    """Readings of 16 other people over 15 minutes."""
    return training_readings(16, 15, 99).readings


@pytest.fixture(scope="session")
def fleet(fleet_readings: pa.Table) -> TrainingWindows:
    return windows_of_readings(fleet_readings, settings.Windows())
