"""Counts of the windows of a batch for drift monitoring, written in the transaction of their predictions.

A window is scored again whenever readings of it arrive, but is counted once: when it is complete (coverage of at least
windows.queue_coverage) and the reading of its last slot arrives. A window whose last reading was lost is not counted,
which does not bias its features.
"""

from __future__ import annotations

from collections.abc import Mapping

from activitymodule.models.baseline import Counter, Totals
from activitymodule.models.bundle import ScoringModel
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.store.drift import write_minutes
from activitymodule.streaming.queue.marks import Scored
from activitymodule.windows.assembling import complete


class Minutes:
    """The counts of one task. `add` its windows, then `write` once, before the commit."""

    def __init__(self, config: Settings) -> None:
        self._windows = config.windows
        self._enabled = config.monitoring.enabled
        self._recent_us = config.monitoring.look_back_minutes * 60e6
        self._totals: dict[int, Totals] = {}

    def add(self, scored: Scored, model: ScoringModel) -> None:
        """Count the complete ones of the windows that a model has scored."""
        if model.baseline is None or not self._enabled:
            return
        rows, held = scored.rows, scored.assembled
        window_us = scored.window_start_us[rows]
        whole = complete(window_us, held.newest_us[rows], held.coverage[rows], self._windows)
        if not whole.any():
            return
        counter, probabilities = Counter(model.baseline), scored.scores.probabilities
        # a watch that sends what it recorded on other days must not make minutes of the present into days
        recent = window_us > window_us[whole].max() - self._recent_us
        for some in (whole & recent, whole & ~recent):
            for minute, totals in counter.by_minute(window_us, scored.features, probabilities, some).items():
                before = self._totals.get(minute)
                self._totals[minute] = totals if before is None else before + totals

    @property
    def totals(self) -> Mapping[int, Totals]:
        """Minute (UTC microseconds) -> what was counted of it."""
        return self._totals

    def write(self, connection: Connection, *, model_version: str, query_id: str, batch_id: int) -> None:
        """Write the rows of this task, in the caller's transaction."""
        if self._totals:
            write_minutes(
                connection,
                self._totals,
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
