"""What is going on now: a few quick queries over the last minute, for a view that asks every second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activitymodule.store.connection import Connection

LEAST_SECONDS = 10.0
"""A rate needs rows of at least this long: at a start the first second brings all that waited."""

LIVE_SECONDS = 10.0
"""The length of a window. Readings that waited in Kafka for longer were not scored live."""


@dataclass(frozen=True)
class Recent:
    """One of the last predictions."""

    device_id: str
    window_start: datetime
    activity: str | None
    confidence: float | None
    smoothed_activity: str | None
    kcal_per_min: float | None
    conformal_size: int | None
    reason: str | None
    latency_seconds: float | None
    processed_at: datetime


@dataclass(frozen=True)
class Pulse:
    """The store over the last minute, by its own clock."""

    at: datetime
    watches: dict[str, int]  # activity -> watches whose latest window is that; "" where it has none
    windows: int  # rows written
    readings: int
    seconds: float  # how long the rows of the last minute reach back: less than a minute after a start
    latency_p50_seconds: float | None
    latency_p95_seconds: float | None
    live_p50_seconds: float | None  # of windows that were scored live
    live_p95_seconds: float | None
    backlog_windows: int  # rows of the last minute that were not scored live
    behind_seconds: float | None  # how far the newest rows are behind; None if they were scored live
    kcal_per_min: float | None  # mean over the watches
    dead_letters_last_minute: int
    model_name: str | None
    model_version: str | None
    labels: tuple[str, ...]
    energy_version: str | None
    batch_id: int | None
    batch_started_at: datetime | None
    batch_seconds: float | None
    offsets: dict[int, int]  # partition -> first offset that is not scored yet
    recent: tuple[Recent, ...]

    @property
    def windows_per_second(self) -> float | None:
        """Rows written a second; None too soon after a start to say."""
        return self.windows / self.seconds if self.seconds >= LEAST_SECONDS else None

    @property
    def readings_per_second(self) -> float | None:
        """Readings a second in these rows; None too soon after a start to say."""
        return self.readings / self.seconds if self.seconds >= LEAST_SECONDS else None


_PULSE = """
WITH latest AS (
    SELECT DISTINCT ON (device_id) device_id, coalesce(smoothed_activity, activity, '') AS activity, kcal_per_min
    FROM predictions
    WHERE processed_at > now() - interval '60 seconds'
    ORDER BY device_id, activity IS NULL, window_start DESC
), timed AS (
    SELECT readings_used, processed_at, max(processed_at) OVER () AS newest,
           extract(epoch FROM processed_at - received_at)::double precision AS latency
    FROM predictions
    WHERE processed_at > now() - interval '60 seconds'
), written AS (
    SELECT count(*) AS windows, coalesce(sum(readings_used), 0)::bigint AS readings,
           extract(epoch FROM now() - min(processed_at))::double precision AS seconds,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency) AS latency,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency)
               FILTER (WHERE latency <= %(live_seconds)s) AS live,
           count(*) FILTER (WHERE latency > %(live_seconds)s) AS backlog,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY latency)
               FILTER (WHERE processed_at > newest - interval '10 seconds') AS behind
    FROM timed
)
SELECT now(),
       (SELECT coalesce(json_object_agg(activity, n), '{}')
        FROM (SELECT activity, count(*) AS n FROM latest GROUP BY activity) AS counts),
       windows, readings, coalesce(seconds, 0), latency[1], latency[2], live[1], live[2], backlog,
       CASE WHEN behind > %(live_seconds)s THEN behind END,
       (SELECT avg(kcal_per_min) FROM latest),
       (SELECT count(*) FROM dead_letters WHERE noticed_at > now() - interval '60 seconds')
FROM written
"""
_BATCH = """
SELECT batch_id, started_at, extract(epoch FROM finished_at - started_at)::double precision, offsets,
       model_version, energy_version
FROM batches WHERE topic = %s AND finished_at IS NOT NULL
ORDER BY started_at DESC, batch_id DESC LIMIT 1
"""
_MODEL = "SELECT name, labels FROM model_versions WHERE version = %s ORDER BY registered_at DESC LIMIT 1"
# Windows that are still filling have no activity yet and nothing to show.
_RECENT = """
SELECT device_id, window_start, activity, confidence, smoothed_activity, kcal_per_min,
       cardinality(conformal_set), reason,
       extract(epoch FROM processed_at - received_at)::double precision, processed_at
FROM predictions
WHERE (activity IS NOT NULL OR window_end < now()) AND coverage >= %(least_coverage)s
ORDER BY processed_at DESC LIMIT %(recent)s
"""


def take_pulse(
    connection: Connection,
    topic: str,
    *,
    recent: int = 10,
    live_seconds: float = LIVE_SECONDS,
    least_coverage: float = 0.0,
) -> Pulse:
    """One look at the store. Every query goes along an index over what is new, however much there is in all.

    live_seconds : a window whose readings waited longer than this in Kafka was not scored live: it is of a backlog
    least_coverage : windows with less are left out of `recent`
    """
    with connection.cursor() as cursor:
        cursor.execute(_PULSE, {"live_seconds": live_seconds})
        at, watches, windows, readings, seconds, *latency, backlog, behind, kcal, dead = cursor.fetchone()
        p50, p95, live_p50, live_p95 = latency
        cursor.execute(_BATCH, (topic,))
        batch: tuple[Any, ...] = cursor.fetchone() or (None, None, None, {}, None, None)
        name, labels = None, []
        if batch[4] is not None:
            cursor.execute(_MODEL, (batch[4],))
            name, labels = cursor.fetchone() or (None, [])
        cursor.execute(_RECENT, {"recent": recent, "least_coverage": least_coverage})
        rows = tuple(Recent(*row) for row in cursor.fetchall())
    return Pulse(
        at=at,
        watches=watches,
        windows=windows,
        readings=readings,
        seconds=seconds,
        latency_p50_seconds=p50,
        latency_p95_seconds=p95,
        live_p50_seconds=live_p50,
        live_p95_seconds=live_p95,
        backlog_windows=backlog,
        behind_seconds=behind,
        kcal_per_min=kcal,
        dead_letters_last_minute=dead,
        model_name=name,
        model_version=batch[4],
        labels=tuple(labels),
        energy_version=batch[5],
        batch_id=batch[0],
        batch_started_at=batch[1],
        batch_seconds=batch[2],
        offsets={int(number): int(until) for number, (_, until) in batch[3].items()},
        recent=rows,
    )


def count_dead_letters(connection: Connection) -> int:
    """How many dead letters there are in all."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM dead_letters")
        return int(cursor.fetchone()[0])
