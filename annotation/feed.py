"""What the live pages show, read once for all viewers by one task, which runs while a page is open.

Each turn reads only what is new: counts of the last minutes replace or extend those that are known, so a turn costs
the same for a day of history as for an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from nicegui import ui

from activitymodule.errors import ActivityError
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.store.live import Pulse, take_pulse
from activitymodule.store.views import Latency, activity_counts, dead_letters_last_hour, live_latency
from annotation import context
from annotation.current import lag_now

BUCKET_SECONDS = 30
MINUTES = 30
RECENT = 8  # of the newest predictions
_TURN_SECONDS = 2.0
_SLOW_SECONDS = 6.0  # between looks at Kafka and the dead letters
_AT_ONCE_SECONDS = 120  # of a first look, and of each further one into the past
_AGAIN_SECONDS = 120  # a turn counts so far back anew: late windows, and those that are open


@dataclass(frozen=True)
class Snapshot:
    """One look. counts : bucket (Unix seconds) -> activity -> windows; latency : bucket -> of windows scored live."""

    at: datetime
    pulse: Pulse | None = None
    trouble: str | None = None
    lag: int | None = None
    lag_trouble: str | None = None  # why it is not known
    dead_letters_last_hour: int | None = None
    counts: dict[int, dict[str, int]] = field(default_factory=dict)
    latency: dict[int, Latency] = field(default_factory=dict)
    known_since: int | None = None  # what was before is not read yet: a part with each look, newest first

    def buckets(self) -> list[int]:
        """The buckets of the chart, oldest first; the newest is still filling and is left out."""
        # a window lasts ten seconds and is written some later
        last = int(self.at.timestamp() - 15) // BUCKET_SECONDS * BUCKET_SECONDS
        return list(range(last - MINUTES * 60, last, BUCKET_SECONDS))


class Feed:
    """The viewers, and the task that reads for them."""

    def __init__(self) -> None:
        self._viewers: dict[int, Callable[[Snapshot], None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._slow_at = 0.0
        self.current: Snapshot | None = None

    def watch(self, show: Callable[[Snapshot], None]) -> None:
        """Call `show` with each new snapshot for as long as the page that is being built is open."""
        client = ui.context.client
        key = id(show)

        def begin() -> None:
            self._viewers[key] = show
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run())

        def end() -> None:
            self._viewers.pop(key, None)

        client.on_connect(begin)
        client.on_disconnect(end)
        client.on_delete(end)
        if self.current is not None and time.time() - self.current.at.timestamp() < 10:
            show(self.current)

    async def _run(self) -> None:
        while self._viewers:
            begin = time.monotonic()
            self.current = await self.look()
            for key, show in list(self._viewers.items()):
                try:
                    show(self.current)
                except Exception:  # a page that has just been closed
                    self._viewers.pop(key, None)
            await asyncio.sleep(max(0.3, _TURN_SECONDS - (time.monotonic() - begin)))

    async def look(self) -> Snapshot:
        """A new snapshot. If the store is away, the one before with `trouble` set."""
        before = self.current or Snapshot(datetime.now(UTC))
        try:
            found = await context.run(self._store, before)
        except Exception as error:  # a task that dies would leave pages that never change
            trouble = str(error) if isinstance(error, ActivityError) else f"{type(error).__name__}: {error}"
            return replace(before, at=datetime.now(UTC), trouble=trouble)
        if time.monotonic() - self._slow_at > _SLOW_SECONDS:
            self._slow_at = time.monotonic()
            try:
                lag = await context.run(lag_now, context.settings())
                found = replace(found, lag=None if lag is None else sum(lag.values()), lag_trouble=None)
            except ActivityError as error:
                found = replace(found, lag=None, lag_trouble=str(error))
            with contextlib.suppress(ActivityError):
                found = replace(found, dead_letters_last_hour=await context.run_read(dead_letters_last_hour))
        return found

    @staticmethod
    def _store(before: Snapshot) -> Snapshot:
        return context.read(partial(look_again, config=context.settings(), before=before))


def look_again(connection: Connection, config: Settings, before: Snapshot) -> Snapshot:
    """The snapshot after `before`, as far as the store knows. The past of the charts comes in parts, the newest first:
    at no look more than some minutes of windows are read."""
    live_seconds = float(config.windows.length_seconds)
    pulse = take_pulse(
        connection,
        config.kafka.topic,
        recent=RECENT,
        live_seconds=live_seconds,
        least_coverage=config.windows.least_coverage,
    )
    now = int(pulse.at.timestamp())
    oldest, newest = now - MINUTES * 60 - BUCKET_SECONDS, _bucket(now - _AT_ONCE_SECONDS)
    known, last, begins = before.known_since, before, False
    if known is None or before.at.timestamp() < newest:  # nobody has looked for minutes
        known, last, begins = newest, replace(before, counts={}, latency={}), True
    since = newest if begins else _bucket(max(oldest, max(last.counts, default=newest) - _AGAIN_SECONDS))
    counts = {b: c for b, c in last.counts.items() if oldest <= b < since}
    counts |= activity_counts(connection, since, BUCKET_SECONDS)
    since = newest if begins else _bucket(max(oldest, max(last.latency, default=newest) - BUCKET_SECONDS))
    latency = {b: v for b, v in last.latency.items() if oldest <= b < since}
    latency |= live_latency(connection, since, BUCKET_SECONDS, live_seconds)
    if known > oldest and not begins:  # the first look is soon there
        since = max(_bucket(oldest), known - _AT_ONCE_SECONDS)
        counts |= activity_counts(connection, since, BUCKET_SECONDS, known)
        latency |= live_latency(connection, since, BUCKET_SECONDS, live_seconds, known)
        known = since
    return replace(
        before,
        at=pulse.at,
        pulse=pulse,
        trouble=None,
        counts=counts,
        latency=latency,
        known_since=known,
    )


def _bucket(seconds: int) -> int:
    return seconds // BUCKET_SECONDS * BUCKET_SECONDS


FEED = Feed()


def ago(delta: timedelta | float | None) -> str:
    """A time span as text: 3 s, 4 min, 2 h, 5 days."""
    if delta is None:
        return "-"
    seconds = delta.total_seconds() if isinstance(delta, timedelta) else delta
    if seconds < 60:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"
