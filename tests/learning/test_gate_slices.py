"""Challengers that learnt one device model at the cost of another: what the gate says of each group of watches."""

from __future__ import annotations

from functools import cache

import numpy as np

from activitymodule.learning.gate import Audit, Candidate, Verdict, judge
from activitymodule.learning.gold import GoldWindows
from activitymodule.learning.training_set import with_labels
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import PersonColumns
from activitymodule.models.evaluation.slices import DEVICE_MODEL, Slicing
from activitymodule.models.training import ActivityFit, fit_activity
from activitymodule.settings import Settings, load
from activitymodule.windows.catalogue import FEATURE_NAMES

OLD, NEW = "apple-watch", "fitbit-sense"
ACTIVITIES = np.array(["sitting", "stairs", "walking"])
WINDOWS = 24  # of a person


def people(model: str, names: range) -> TrainingWindows:
    """People on watches of a model. On the new one everything looks more vigorous, sitting nearly as stairs do on the
    old one; that it is another watch shows in other features, but not clearly enough."""
    n = len(names) * WINDOWS
    dice = np.random.default_rng([names.start, names.stop, model == NEW])
    code = np.arange(n) % 3
    place = code + (0.7 if model == NEW else 0.0)
    own = np.repeat(dice.normal(scale=0.1, size=(len(names), 1)), WINDOWS, axis=0)
    X = dice.normal(size=(n, len(FEATURE_NAMES))).astype(np.float32)
    X[:, :30] += 1.2 * (place[:, None] + own)
    X[:, 30:60] += 0.4 * (model == NEW)
    return TrainingWindows(
        features=X,
        activity=ACTIVITIES[code],
        person=np.repeat([f"{model}-{k}" for k in names], WINDOWS),
        run=np.arange(n),
        kcal_per_min=np.full(n, np.nan, np.float32),
        people=PersonColumns.unknown(n),
        device_model=np.full(n, model),
    )


def labels_of(windows: TrainingWindows) -> GoldWindows:
    n = len(windows)
    return GoldWindows(
        device_id=windows.person,
        window_us=np.arange(n, dtype=np.int64) * 70_000_000,
        label=windows.activity,
        stratum=np.full(n, "doubt"),
        propensity=np.full(n, 0.5),
        features=windows.features,
        device_model=windows.device_model,
    )


def settings(weight: float) -> Settings:
    config = load({})
    return config.model_copy(
        update={
            "learning": config.learning.model_copy(update={"device_weight": weight, "bootstrap": 500}),
            "models": config.models.model_copy(update={"classifier": "logistic_regression"}),
        }
    )


@cache
def champion() -> ActivityFit:
    return fit_activity(people(OLD, range(12)), settings(1))


@cache
def verdict(weight: float, old: int, new: int) -> Verdict:
    """On a challenger whose labels of the new model weigh so much, by people of both models whom neither model saw."""
    config = settings(weight)
    training = with_labels(people(OLD, range(12)), labels_of(people(NEW, range(100, 112))), config)
    challenger = fit_activity(training.windows, config, weight=training.weights)
    parts = [people(OLD, range(20, 20 + old)), people(NEW, range(200, 200 + new))]
    features = np.concatenate([part.features for part in parts])
    models = np.concatenate([part.device_model for part in parts])
    audit = Audit(
        label=np.concatenate([part.activity for part in parts]),
        person=np.concatenate([part.person for part in parts]),
        features=features,
        propensity=np.ones(len(features)),
        slicings=(Slicing(DEVICE_MODEL, models),),
    )
    sides = [
        Candidate(name, fitted.labels, fitted.probabilities(features, models).astype(float), 1.0, 1e4)
        for name, fitted in (("1", champion()), ("2", challenger))
    ]
    return judge(*sides, audit, config.learning)


def failed(found: Verdict) -> list[str]:
    return [check.name for check in found.checks if not check.passed]


def test_a_challenger_that_helps_a_new_watch_and_harms_the_old_one_is_rejected_for_that_alone():
    found = verdict(4, 8, 14)
    old, new = found.figures.slices
    assert (old.name, new.name) == (OLD, NEW)
    assert new.challenger - new.champion > 0.2
    assert old.champion - old.challenger > settings(4).learning.slice_guard
    assert found.figures.macro_f1.low > 0, "the gain on the new watch is significant over all people"
    assert failed(found) == ["slices"]
    (message,) = found.reasons()
    assert f"device model {OLD}" in message
    assert message in found.summary


def test_every_check_that_fails_is_in_the_summary():
    """With few people on the new watch nothing is gained over all people."""
    found = verdict(4, 12, 3)
    assert {"better", "slices"} <= set(failed(found))
    assert found.summary == "version 2 is rejected: " + "; ".join(found.reasons())
    assert len(found.reasons()) == len(failed(found))
