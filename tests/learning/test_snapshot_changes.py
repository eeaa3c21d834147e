"""What changed between two training sets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from activitymodule.learning.snapshot_changes import Relabelled, changes
from activitymodule.learning.training_set import TrainingSet
from activitymodule.models.dataset import TrainingWindows, concatenated
from activitymodule.models.energy import PersonColumns
from activitymodule.windows.catalogue import FEATURE_NAMES


def some(n: int, person: str, activity: str, seed: int) -> TrainingWindows:
    return TrainingWindows(
        features=np.random.default_rng(seed).normal(size=(n, len(FEATURE_NAMES))).astype(np.float32),
        activity=np.full(n, activity),
        person=np.full(n, person),
        run=np.arange(n),
        kcal_per_min=np.full(n, np.nan, np.float32),
        people=PersonColumns.unknown(n),
    )


def of(base: TrainingWindows, labelled: TrainingWindows, weight: float = 1.0) -> TrainingSet:
    return TrainingSet(base, labelled, np.full(len(labelled), weight), labels=len(labelled), spread=0)


def test_people_windows_and_labels() -> None:
    base = some(4, "anna", "walking", 0)
    before = of(base, concatenated([some(3, "ben", "sitting", 1), some(2, "cleo", "rowing", 2)]))
    labelled = some(3, "ben", "sitting", 1)
    labelled.activity[1] = "walking"
    after = of(base, concatenated([labelled, some(5, "dora", "jumping", 3)]))
    found = changes(before, after)
    assert found.same_base
    assert (found.people_added, found.people_removed) == (("dora",), ("cleo",))
    assert (found.labels_added, found.labels_removed) == (("jumping",), ("rowing",))
    assert (found.added, found.removed) == ({"jumping": 5}, {"rowing": 2})
    assert found.relabelled == (Relabelled("sitting", "walking", 1),)
    assert (found.reweighted, found.unchanged) == (0, 6)


def test_weights_and_windows_that_are_alike() -> None:
    base, twice = some(4, "anna", "walking", 0), some(2, "ben", "sitting", 1)
    twice.features[1] = twice.features[0]
    before, after = of(base, twice), of(base, twice, 0.5)
    assert changes(before, before).unchanged == 6
    found = changes(before, after)
    assert (found.reweighted, found.unchanged, found.added, found.removed) == (2, 4, {}, {})
    # one of two windows that are alike is gone
    fewer = replace(after, labelled=twice.take(np.array([0])), weight=np.array([0.5]))
    assert changes(after, fewer).removed == {"sitting": 1}
    other = changes(before, of(some(4, "anna", "walking", 9), twice))
    assert not other.same_base
    assert (sum(other.added.values()), sum(other.removed.values())) == (4, 4)
