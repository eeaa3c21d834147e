"""What the scoring job does after a failed query: try again, wait for a service, or give up."""

from __future__ import annotations

import re
import time
from collections import deque

from activitymodule.errors import ActivityError, RefusedError
from activitymodule.kafka.clients import topic_ends
from activitymodule.settings import Settings
from activitymodule.store.batches import last_offsets
from activitymodule.store.connection import Connection
from activitymodule.streaming.checkpoint import loss_sentence, unread_and_gone
from activitymodule.streaming.log import log
from activitymodule.streaming.session import details

FAILURES_ALLOWED = 5
"""In as many minutes, while every service answers, before the job gives up."""

_PYTHON_ERROR = re.compile(r"^(?:[\w$]+\.)*([\w$]*(?:Error|Exception|Interrupt)): (\S.*)$")


def is_data_loss(message: str) -> bool:
    """Whether Spark stopped because Kafka no longer holds messages of the query."""
    return "failOnDataLoss" in message or "KAFKA_DATA_LOSS" in message


def data_loss(config: Settings, connection: Connection) -> RefusedError:
    """The error that says which unscored messages Kafka no longer holds."""
    topic = config.kafka.topic
    lost = unread_and_gone(last_offsets(connection, topic) or {}, topic_ends(config, topic) or {})
    if lost:
        return RefusedError(loss_sentence(topic, lost))
    return RefusedError(
        f"DATA LOSS: Kafka no longer holds unscored messages of {topic}, or the topic was deleted and created again; "
        "continue with the remaining messages by `activity score --accept-data-loss`"
    )


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
