"""Waits for services: an outage is logged once when it begins and once when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from activitymodule.streaming.log import log

Probe = Callable[[], str | None]
"""Returns why a service cannot be used now, or None where it can."""

_LONGEST_PAUSE = 30.0
_QUIET_SECONDS = 30.0


class Availability:
    """Whether a service can be used.

    An outage begins where a probe finds it, or with a failure of somebody's work (`report`). The first kind ends as
    soon as the service answers. The second ends once work is done again (`work_done`), or no work has failed for half
    a minute: a service may answer every probe and yet refuse the work.
    """

    def __init__(self, name: str, probe: Probe, *, thorough: Probe | None = None) -> None:
        """Prepare without asking.

        probe : asked while all is well; thorough : asked before the first use and during an outage
        """
        self.name = name
        self._probe = probe
        self._thorough = thorough or probe
        self._away_since: float | None = None
        self._last_failure: float | None = None
        self._failures = 0

    def check(self) -> bool:
        """Whether it can be used now."""
        return self._noted((self._probe if self._away_since is None else self._thorough)())

    def report(self, trouble: str) -> None:
        """Note that work failed although the service may answer."""
        self._begin(trouble)
        self._last_failure = time.monotonic()
        self._failures += 1

    def work_done(self) -> None:
        """Note that work succeeded, which ends an outage."""
        self._last_failure = None
        if self._away_since is not None:
            self._end()

    def wait(self, stopped: Callable[[], bool], seconds_between: float = 0.5) -> bool:
        """Wait until it can be used; False where `stopped` returns True before that.

        After repeated failures the wait is longer, up to half a minute.
        """
        pause = min(2.0 ** (self._failures - 1), _LONGEST_PAUSE) if self._failures else 0.0
        earliest = time.monotonic() + pause
        while not stopped():
            if self._noted(self._thorough()) and time.monotonic() >= earliest:
                return True
            time.sleep(seconds_between)
        return False

    def _noted(self, trouble: str | None) -> bool:
        if trouble is not None:
            self._begin(trouble)
        elif self._away_since is not None and (
            self._last_failure is None or time.monotonic() - self._last_failure > _QUIET_SECONDS
        ):
            self._end()
        return trouble is None

    def _begin(self, trouble: str) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log(f"{trouble}; waiting for it")

    def _end(self) -> None:
        assert self._away_since is not None
        log(f"{self.name} is back after {time.monotonic() - self._away_since:.0f} s")
        self._away_since, self._last_failure, self._failures = None, None, 0
