"""Standard scores of the last items of the queue: a new item must not resemble them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from activitymodule.learning import policy
from activitymodule.models.bundle import ScoringModel
from activitymodule.store import queue
from activitymodule.store.connection import Connection
from activitymodule.store.queue import QueueItem
from activitymodule.windows.catalogue import FEATURES_VERSION

_LAST_ITEMS = 1000

Scores = tuple[list[str], np.ndarray]
"""Persons, and the standard scores of a window of each."""


class RecentItems:
    """Read from the store once a model version, then kept up to date from what is queued."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._scores: Scores | None = None

    def scores(self, connection: Connection, model: ScoringModel, new: Sequence[QueueItem]) -> Scores | None:
        """Those of the last items, and of `new` ones that are about to be queued; None without any."""
        if self._version != model.version:
            persons, features = queue.last_features(connection, FEATURES_VERSION, _LAST_ITEMS)
            self._version, self._scores = model.version, _scores(model, persons, features)
        return _joined(_scores_of(new, model), self._scores)

    def add(self, items: Sequence[QueueItem], model: ScoringModel) -> None:
        """Items that were queued."""
        if self._version is not None and items:
            self._version, self._scores = model.version, _joined(_scores_of(items, model), self._scores)

    def clear(self) -> None:
        """Forget everything; the next look reads the store."""
        self._version = self._scores = None


def _scores_of(items: Sequence[QueueItem], model: ScoringModel) -> Scores | None:
    return _scores(model, [item.person for item in items], [item.features for item in items])


def _scores(model: ScoringModel, persons: list[str], features: Sequence[np.ndarray]) -> Scores | None:
    standard = model.standardised(np.stack(features)) if len(features) else None
    return None if standard is None else (persons, policy.limited(standard))


def _joined(one: Scores | None, other: Scores | None) -> Scores | None:
    if one is None or other is None:
        return one or other
    return (one[0] + other[0])[:_LAST_ITEMS], np.concatenate([one[1], other[1]])[:_LAST_ITEMS]
