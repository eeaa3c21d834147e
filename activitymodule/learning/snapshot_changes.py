"""What changed between two training sets: people, windows, labels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from activitymodule.learning.training_set import TrainingSet


@dataclass(frozen=True)
class Relabelled:
    """Windows whose activity is another one."""

    before: str
    after: str
    windows: int


@dataclass(frozen=True)
class SnapshotChanges:
    """From one training set to another.

    added, removed : windows by activity; relabelled : windows that are in both, under another activity; reweighted :
    windows that are in both, with another weight; unchanged : windows that are the same in both; same_base : whether
    both have the same base
    """

    same_base: bool
    people_added: tuple[str, ...]
    people_removed: tuple[str, ...]
    labels_added: tuple[str, ...]
    labels_removed: tuple[str, ...]
    added: dict[str, int]
    removed: dict[str, int]
    relabelled: tuple[Relabelled, ...]
    reweighted: int
    unchanged: int


@dataclass(frozen=True)
class _Windows:
    """The windows of a training set by person and features. Windows that are alike are counted by their order."""

    activity: dict[tuple[str, bytes, int], str]
    weight: dict[tuple[str, bytes, int], float]
    people: set[str]

    @classmethod
    def of(cls, training: TrainingSet) -> _Windows:
        windows = training.windows
        rows = np.ascontiguousarray(windows.features)
        people, activities = windows.person.tolist(), windows.activity.tolist()
        seen: Counter[tuple[str, bytes]] = Counter()
        keys = []
        for person, row in zip(people, rows, strict=True):
            own = (person, hashlib.blake2b(row.tobytes(), digest_size=16).digest())
            keys.append((*own, seen[own]))
            seen[own] += 1
        return cls(
            dict(zip(keys, activities, strict=True)),
            dict(zip(keys, training.weights.tolist(), strict=True)),
            set(people),
        )


def changes(before: TrainingSet, after: TrainingSet) -> SnapshotChanges:
    """What is new, gone or different in `after`. A window is known by its person and its features."""
    old, new = _Windows.of(before), _Windows.of(after)
    both = old.activity.keys() & new.activity.keys()
    moved = Counter(
        (old.activity[key], new.activity[key]) for key in both if old.activity[key] != new.activity[key]
    )
    reweighted = sum(old.weight[key] != new.weight[key] for key in both)
    known = [set(one.activity.values()) for one in (old, new)]
    return SnapshotChanges(
        same_base=before.base.sha256() == after.base.sha256(),
        people_added=tuple(sorted(new.people - old.people)),
        people_removed=tuple(sorted(old.people - new.people)),
        labels_added=tuple(sorted(known[1] - known[0])),
        labels_removed=tuple(sorted(known[0] - known[1])),
        added=_by_activity(new.activity[key] for key in new.activity.keys() - both),
        removed=_by_activity(old.activity[key] for key in old.activity.keys() - both),
        relabelled=tuple(Relabelled(*pair, count) for pair, count in sorted(moved.items())),
        reweighted=reweighted,
        unchanged=sum(
            old.activity[key] == new.activity[key] and old.weight[key] == new.weight[key] for key in both
        ),
    )


def _by_activity(activities: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(activities).items()))
