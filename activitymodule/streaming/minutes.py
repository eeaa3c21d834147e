"""Counts of the windows of a batch for drift monitoring, written in the transaction of their predictions.

A window is scored again whenever readings of it arrive, but is to be counted once: when it is complete (coverage of at
least windows.queue_coverage) and the reading of its last slot is there, which comes once. A window whose last reading
was lost is not counted; that says nothing about its features.
"""

from __future__ import annotations

import numpy as np

from activitymodule.models.baseline import Counter, Totals
from activitymodule.models.bundle import ScoringModel
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.store.drift import write_minutes
from activitymodule.windows.assembling import complete


class Minutes:
    """The counts of one task. `add` its windows, then `write` once, before the commit."""

    def __init__(self, config: Settings) -> None:
        self._windows = config.windows
        self._enabled = config.monitoring.enabled
        self._found: dict[int, Totals] = {}

    def add(
        self,
        model: ScoringModel,
        window_us: np.ndarray,
        coverage: np.ndarray,
        newest_us: np.ndarray,
        features: np.ndarray,
        probabilities: np.ndarray,
    ) -> None:
        """Count the complete ones of n windows; features (n, n_features), probabilities (n, n_labels)."""
        if model.baseline is None or not self._enabled:
            return
        whole = complete(window_us, newest_us, coverage, self._windows)
        if not whole.any():
            return
        counter = Counter(model.baseline)
        for minute, totals in counter.by_minute(window_us, features, probabilities, whole).items():
            before = self._found.get(minute)
            self._found[minute] = totals if before is None else before + totals

    def write(self, connection: Connection, *, model_version: str, query_id: str, batch_id: int) -> None:
        """Write the rows of this task, in the caller's transaction."""
        if self._found:
            write_minutes(
                connection,
                self._found,
                model_version=model_version,
                query_id=query_id,
                batch_id=batch_id,
                part=_part(),
            )


def _part() -> int:
    """The number of the partition that this task works on; 0 outside of Spark."""
    # the console scores by worker.py without Spark
    from pyspark import TaskContext

    context = TaskContext.get()
    return 0 if context is None else int(context.partitionId())
