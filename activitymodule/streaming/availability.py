"""Waits for services: an outage is logged once when it begins and once when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from activitymodule.streaming.log import log


class Availability:
    """Whether a service answers. `probe` asks it; outages and recoveries are logged once each."""

    def __init__(self, name: str, probe: Callable[[], bool]) -> None:
        self.name = name
        self.probe = probe
        self._away_since: float | None = None

    def check(self) -> bool:
        """Whether it answers now."""
        answers = self.probe()
        if not answers and self._away_since is None:
            self._away_since = time.monotonic()
            log(f"{self.name} does not answer; waiting for it")
        elif answers and self._away_since is not None:
            away = time.monotonic() - self._away_since
            self._away_since = None
            log(f"{self.name} is back after {away:.0f} s")
        return answers

    def wait(self, stopped: Callable[[], bool], seconds_between: float = 0.5) -> bool:
        """Wait until it answers; False where `stopped` returns True before that."""
        while not stopped():
            if self.check():
                return True
            time.sleep(seconds_between)
        return False
