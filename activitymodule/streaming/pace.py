"""When the next batch of a live stream begins.

Every window of the fleet ends at the same instants, the multiples of the slide. What completes windows comes soon
after, so batches then follow each other at once, and predictions wait for nothing. In between a batch can only
bring predictions of unfinished windows up to date, so batches are few: they cost as much as those that matter.
"""

from __future__ import annotations

import threading
import time

from activitymodule.settings import Settings


class Pace:
    """Makes the pauses between `start` and `stop`, and none at other times."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._stopped = threading.Event()
        self._stopped.set()

    def start(self) -> None:
        """A query of a live stream is about to start."""
        self._stopped.clear()

    def pause(self, began: float) -> None:
        """Wait until the next batch is to begin. began : when this one did, epoch seconds"""
        self._stopped.wait(pause_seconds(self._config, began, time.time()))

    def stop(self) -> None:
        """End the pause, if there is one, and make no more; safe from other threads."""
        self._stopped.set()


def pause_seconds(config: Settings, began: float, now: float) -> float:
    """How long a batch that began then waits for the next one, seconds; both times as epoch seconds.

    None where windows have just ended, nor after a batch that took as long as the least time between batches. Other
    batches begin at multiples of that time, and as windows end.
    """
    slide, prompt = config.windows.slide_seconds, config.scoring.prompt_seconds
    least = config.scoring.trigger_milliseconds / 1000
    since_end = now % slide
    if now - began >= least or since_end < prompt:
        return 0.0
    pause = least - now % least
    return min(pause, slide - since_end) if prompt else pause
