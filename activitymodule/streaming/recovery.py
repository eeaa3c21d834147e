"""What the scoring job does after a failed query: try again, wait for a service, or give up."""

from __future__ import annotations

import re
import time
from collections import deque

from activitymodule.errors import ActivityError
from activitymodule.settings import Settings
from activitymodule.streaming.log import log
from activitymodule.streaming.session import details

FAILURES_ALLOWED = 5
"""In as many minutes, while every service answers, before the job gives up."""

_PYTHON_ERROR = re.compile(r"^(?:[\w$]+\.)*([\w$]*(?:Error|Exception|Interrupt)): (\S.*)$")


def is_data_loss(message: str) -> bool:
    """Whether Spark stopped because Kafka no longer holds messages of the query."""
    return "failOnDataLoss" in message or "KAFKA_DATA_LOSS" in message


def first_line(message: str) -> str:
    """The line of a Spark error that says what happened: that of the Python exception where there is one."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [match for line in lines if (match := _PYTHON_ERROR.match(line))]
    if errors:
        return f"{errors[-1][1]}: {errors[-1][2]}"[:300]
    return lines[0][:300] if lines else "unknown error"


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
        first, more = first_line(str(error)), details(self._config)
        if len(self._at) > FAILURES_ALLOWED:
            raise ActivityError(f"scoring fails repeatedly: {first} (details {more})") from error
        log(f"a batch failed and is tried again: {first} (details {more})")
