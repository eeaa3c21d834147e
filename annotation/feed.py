"""What the live pages show, looked up once for everybody who looks on: one task, however many viewers there are.

The task runs while somebody looks. Each turn asks the store for what is new alone: counts by activity of the last
minutes are added to those that are known, so a turn costs the same for a day of history as for an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from nicegui import ui

from activitymodule.errors import ActivityError
from activitymodule.store.connection import Connection
from activitymodule.store.live import Pulse, take_pulse
from annotation import context
from annotation.api.metrics import lag_now

BUCKET_SECONDS = 30
MINUTES = 30
_TURN_SECONDS = 2.0
_SLOW_SECONDS = 6.0  # between looks at Kafka and the dead letters
_AGAIN_SECONDS = 120  # so far back a turn counts anew: late windows, and those that are open

_COUNTS = """
SELECT floor(extract(epoch FROM window_start) / %(bucket)s)::bigint * %(bucket)s AS bucket,
       coalesce(smoothed_activity, activity) AS activity, count(*) AS n
FROM predictions
WHERE window_start >= to_timestamp(%(since)s) AND window_start <= now() AND activity IS NOT NULL
GROUP BY 1, 2
"""
_LATENCY = """
SELECT floor(extract(epoch FROM processed_at) / %(bucket)s)::bigint * %(bucket)s AS bucket,
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
           ORDER BY extract(epoch FROM processed_at - received_at)::double precision) AS seconds, count(*) AS n
FROM predictions
WHERE processed_at >= to_timestamp(%(since)s) AND coverage >= 0.99
GROUP BY 1
"""
_DEAD = "SELECT count(*) AS n FROM dead_letters WHERE noticed_at > now() - interval '1 hour'"


@dataclass(frozen=True)
class Snapshot:
    """One look. counts : bucket (Unix seconds) -> activity -> windows; latency : bucket -> p50, p95, windows."""

    at: datetime
    pulse: Pulse | None = None
    trouble: str | None = None
    lag: int | None = None
    dead_letters_last_hour: int | None = None
    counts: dict[int, dict[str, int]] = field(default_factory=dict)
    latency: dict[int, tuple[float, float, int]] = field(default_factory=dict)

    def buckets(self) -> list[int]:
        """The buckets of the chart, oldest first; the newest is still filling and is left out."""
        # a window lasts ten seconds and is written some later
        last = int(self.at.timestamp() - 15) // BUCKET_SECONDS * BUCKET_SECONDS
        return list(range(last - MINUTES * 60, last, BUCKET_SECONDS))


class Feed:
    """Viewers, and the task that serves them."""

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
        """A new snapshot; what cannot be had now is as it was, and `trouble` says so."""
        before = self.current or Snapshot(datetime.now(UTC))
        try:
            found = await context.run(self._store, before)
        except ActivityError as error:
            return replace(before, at=datetime.now(UTC), trouble=str(error))
        if time.monotonic() - self._slow_at > _SLOW_SECONDS:
            self._slow_at = time.monotonic()
            with contextlib.suppress(ActivityError):
                lag = await context.run(lag_now, context.settings())
                dead = await context.run_query(_DEAD)
                found = replace(
                    found,
                    lag=None if lag is None else sum(lag.values()),
                    dead_letters_last_hour=dead[0]["n"],
                )
        return found

    @staticmethod
    def _store(before: Snapshot) -> Snapshot:
        settings = context.settings()

        def work(connection: Connection) -> Snapshot:
            pulse = take_pulse(connection, settings.kafka.topic, recent=12)
            oldest = int(pulse.at.timestamp()) - MINUTES * 60 - BUCKET_SECONDS
            known = max(before.counts, default=0)
            since = max(oldest, known - _AGAIN_SECONDS) // BUCKET_SECONDS * BUCKET_SECONDS
            with connection.cursor() as cursor:
                cursor.execute(_COUNTS, {"bucket": BUCKET_SECONDS, "since": since})
                counts = {b: c for b, c in before.counts.items() if oldest <= b < since}
                for bucket, activity, n in cursor.fetchall():
                    counts.setdefault(bucket, {})[activity] = n
                since = max(oldest, max(before.latency, default=0) - BUCKET_SECONDS)
                since = since // BUCKET_SECONDS * BUCKET_SECONDS
                cursor.execute(_LATENCY, {"bucket": BUCKET_SECONDS, "since": since})
                latency = {b: v for b, v in before.latency.items() if oldest <= b < since}
                for bucket, seconds, n in cursor.fetchall():
                    latency[bucket] = (seconds[0] or 0.0, seconds[1] or 0.0, n)
            return replace(before, at=pulse.at, pulse=pulse, trouble=None, counts=counts, latency=latency)

        return context.read(work)


FEED = Feed()


def ago(delta: timedelta | float | None) -> str:
    """A span in words: 3 s, 4 min, 2 h, 5 days."""
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
