"""What the scoring job does after a failed query: try again, wait for a service, or give up."""

from __future__ import annotations

import time
from collections import deque

from activitymodule.errors import ActivityError
from activitymodule.settings import Settings
from activitymodule.streaming.log import log
from activitymodule.streaming.session import details
from activitymodule.streaming.spark_errors import cause, out_of_memory
from activitymodule.streaming.state_size import memory_advice

FAILURES_ALLOWED = 5
"""In as many minutes, while every service answers, before the job gives up."""


def is_data_loss(message: str) -> bool:
    """Whether Spark stopped because Kafka no longer holds messages of the query."""
    return "failOnDataLoss" in message or "KAFKA_DATA_LOSS" in message


class Failures:
    """Counts failures that no missing service explains."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._at: deque[float] = deque()

    def add(self, error: Exception) -> None:
        """Log a failure. Raises ActivityError where there were too many lately."""
        now = time.monotonic()
        self._at.append(now)
        while now - self._at[0] > 60 * FAILURES_ALLOWED:
            self._at.popleft()
        first, more = cause(error), f"(details {details(self._config)})"
        if out_of_memory(error):
            first = f"Spark's Java process has too little memory ({first}): {memory_advice(self._config)}"
        if len(self._at) > FAILURES_ALLOWED:
            raise ActivityError(f"scoring fails repeatedly: {first} {more}") from error
        log(f"a batch failed and is tried again: {first} {more}")
