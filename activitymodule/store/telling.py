"""Activity events are written with the windows they tell of: the outbox, by the store's own function.

The function (sql/migrations/versions/0021_activity_events.sql) compares the stored bouts of a watch with what was told
of them. Called again, it tells nothing; called for a late window, it tells corrections.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.store.locks import WRITING_PREDICTIONS
from activitymodule.store.queries import execute, fetch_all, fetch_value

_TELL = "SELECT tell_bouts(%s::text[], %s::timestamptz[], %s::timestamptz[], %s, %s)"
_SILENT = "SELECT device_id, window_start FROM silent_watches(%s, %s) ORDER BY device_id"
_SHARED = f"SELECT pg_advisory_xact_lock_shared({WRITING_PREDICTIONS})"
_SHARE = 5_000  # watches a statement
_AGAIN_SECONDS = 60.0


class Teller:
    """What a process remembers from batch to batch, so that a batch asks the store only about watches with news.

    A stream writes the newest window of a watch again and again while it fills, which tells nothing. `begin`, `note`
    and `tell` belong to one transaction; call `committed` after it.
    """

    def __init__(self) -> None:
        self._newest: dict[
            str, tuple[datetime, float]
        ] = {}  # watch -> newest window, and when it was asked about
        self._noted: dict[str, tuple[datetime, datetime]] = {}  # watch -> earliest and latest window

    @classmethod
    def of(cls, config: Settings) -> Teller | None:
        """One, where events are on."""
        return cls() if config.events.enabled else None

    def begin(self) -> None:
        """Forget what a transaction noted that was rolled back."""
        self._noted.clear()

    def note(self, devices: Iterable[str], starts: Iterable[datetime]) -> None:
        """These windows were written or smoothed anew."""
        noted = self._noted
        for device, start in zip(devices, starts, strict=True):
            first, last = noted.get(device, (start, start))
            noted[device] = (min(first, start), max(last, start))

    def tell(self, connection: Connection, smoothing_windows: int) -> int:
        """Write the events of the noted windows; how many."""
        now = time.monotonic()
        due = [one for one, (first, last) in self._noted.items() if not self._known(one, first, last, now)]
        told = 0
        for begin in range(0, len(due), _SHARE):
            some = due[begin : begin + _SHARE]
            firsts, lasts = zip(*(self._noted[one] for one in some), strict=True)
            values = (some, list(firsts), list(lasts), smoothing_windows, False)
            told += int(fetch_value(connection, _TELL, values))
        return told

    def _known(self, device: str, first: datetime, last: datetime, now: float) -> bool:
        newest, asked = self._newest.get(device, (None, 0.0))
        return first == last == newest and now - asked < _AGAIN_SECONDS

    def committed(self) -> None:
        """What was noted is in the store."""
        now = time.monotonic()
        for device, (_, last) in self._noted.items():
            known, asked = self._newest.get(device, (last, now))
            self._newest[device] = (last, now) if last > known else (known, asked)
        self._noted.clear()


def silent_watches(
    connection: Connection, patience: timedelta, *, by_clock: bool
) -> list[tuple[str, datetime]]:
    """Watches from which no more windows come, with their newest window, whose last bout was not told yet.

    patience : how far the others must be ahead of it; by_clock : or how long the store has had nothing of it
    """
    return [(device, start) for device, start in fetch_all(connection, _SILENT, (patience, by_clock))]


def tell_silent(
    connection: Connection, watches: Sequence[tuple[str, datetime]], smoothing_windows: int
) -> int:
    """End the bouts of these watches; how many events that makes. Smoothing waits for the transaction."""
    if not watches:
        return 0
    execute(connection, _SHARED)
    devices, starts = zip(*watches, strict=True)
    values = (list(devices), list(starts), list(starts), smoothing_windows, True)
    return int(fetch_value(connection, _TELL, values))
