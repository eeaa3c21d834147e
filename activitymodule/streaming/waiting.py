"""Waiting for what is missing: said once when it goes, once when it is back, and never a thousand times."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def say(sentence: str) -> None:
    """One line for the person who watches, with the time of day, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


class Watchpoint:
    """Something that should be there. `check` says when it goes away and when it comes back, once each."""

    def __init__(self, name: str, probe: Callable[[], bool], hint: str = "") -> None:
        self.name = name
        self.probe = probe
        self.hint = hint
        self._away_since: float | None = None

    def check(self) -> bool:
        """Whether it is there now."""
        there = self.probe()
        if not there and self._away_since is None:
            self._away_since = time.monotonic()
            say(f"{self.name} does not answer; waiting for it{self.hint}")
        elif there and self._away_since is not None:
            away = time.monotonic() - self._away_since
            self._away_since = None
            say(f"{self.name} is back after {away:.0f} s")
        return there

    def wait(self, stopped: Callable[[], bool], seconds_between: float = 0.5) -> bool:
        """Wait until it is there; False where `stopped` says so before that."""
        while not stopped():
            if self.check():
                return True
            time.sleep(seconds_between)
        return False
