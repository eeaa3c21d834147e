"""The last minute of the stream: a few quick queries, for views that refresh every second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from activitymodule.models.calibration import UNFAMILIAR
from activitymodule.store.audit import HELD_BACK, HIDDEN
from activitymodule.store.connection import Connection
from activitymodule.store.queries import fetch_all, fetch_one, fetch_row, fetch_value
from activitymodule.telemetry.profiles import profiles

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
    device_model: str | None = None

    @property
    def has_profile(self) -> bool:
        """Whether a device profile says how the axes of the watch lie; else its readings are taken as sent."""
        return self.device_model in profiles()


@dataclass(frozen=True)
class Pulse:
    """The store over the last minute, by its own clock."""

    at: datetime
    watches: dict[str, int]  # activity -> watches whose latest window is that; "" where it has none
    windows: int  # rows written
    readings: int
    seconds: float  # the age of the oldest of these rows: less than a minute after a start
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
    topic_id: str | None = None  # Kafka's, of the topic that the offsets are of
    without_profile: int = 0  # watches of the last minute that have no device profile
    unfamiliar: float | None = None  # share of the windows of the last minute; None where no version can tell

    @property
    def windows_per_second(self) -> float | None:
        """Rows written a second; None less than LEAST_SECONDS after a start."""
        return self.windows / self.seconds if self.seconds >= LEAST_SECONDS else None

    @property
    def readings_per_second(self) -> float | None:
        """Readings a second in these rows; None less than LEAST_SECONDS after a start."""
        return self.readings / self.seconds if self.seconds >= LEAST_SECONDS else None


_PULSE = """
WITH latest AS (
    SELECT DISTINCT ON (device_id) device_id, coalesce(smoothed_activity, activity, '') AS activity, kcal_per_min
    FROM predictions
    WHERE processed_at > now() - interval '60 seconds'
    ORDER BY device_id, activity IS NULL, window_start DESC
), timed AS (
    SELECT readings_used, familiarity, processed_at, max(processed_at) OVER () AS newest,
           date_part('epoch', processed_at - received_at) AS latency
    FROM predictions
    WHERE processed_at > now() - interval '60 seconds'
), written AS (
    SELECT count(*) AS windows, coalesce(sum(readings_used), 0)::bigint AS readings,
           extract(epoch FROM now() - min(processed_at))::double precision AS seconds,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency) AS latency,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency)
               FILTER (WHERE latency <= %(live_seconds)s) AS live,
           count(*) FILTER (WHERE latency > %(live_seconds)s) AS backlog,
           (avg((familiarity < %(unfamiliar)s)::integer))::double precision AS unfamiliar,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY latency)
               FILTER (WHERE processed_at > newest - interval '10 seconds') AS behind
    FROM timed
)
SELECT now(),
       (SELECT coalesce(json_object_agg(activity, n), '{}')
        FROM (SELECT activity, count(*) AS n FROM latest GROUP BY activity) AS counts),
       windows, readings, coalesce(seconds, 0), latency[1], latency[2], live[1], live[2], backlog,
       CASE WHEN behind > %(live_seconds)s THEN behind END,
       unfamiliar,
       (SELECT count(*) FROM latest LEFT JOIN devices USING (device_id)
        WHERE coalesce(device_model, '') <> ALL (%(profiles)s)),
       (SELECT avg(kcal_per_min) FROM latest),
       (SELECT count(*) FROM dead_letters WHERE noticed_at > now() - interval '60 seconds')
FROM written
"""
_BATCH = """
SELECT batch_id, started_at, extract(epoch FROM finished_at - started_at)::double precision, offsets,
       model_version, energy_version, topic_id
FROM batches WHERE topic = %s AND finished_at IS NOT NULL
ORDER BY started_at DESC, batch_id DESC LIMIT 1
"""
_MODEL = "SELECT name, labels FROM model_versions WHERE version = %s ORDER BY registered_at DESC LIMIT 1"
# Windows that still fill have no activity yet.
_RECENT = f"""
SELECT device_id, window_start, CASE WHEN NOT hidden THEN activity END, CASE WHEN NOT hidden THEN confidence END,
       CASE WHEN NOT hidden THEN smoothed_activity END, CASE WHEN NOT hidden THEN kcal_per_min END,
       CASE WHEN NOT hidden THEN cardinality(conformal_set) END, CASE WHEN hidden THEN %(held_back)s ELSE reason END,
       extract(epoch FROM processed_at - received_at)::double precision, processed_at, device_model
FROM (SELECT p.*, {HIDDEN} AS hidden FROM (
    SELECT * FROM predictions
    WHERE (activity IS NOT NULL OR window_end < now()) AND coverage >= %(least_coverage)s
    ORDER BY processed_at DESC LIMIT %(recent)s) AS p) AS shown LEFT JOIN devices USING (device_id)
ORDER BY processed_at DESC
"""


def take_pulse(
    connection: Connection,
    topic: str,
    *,
    recent: int = 10,
    live_seconds: float = LIVE_SECONDS,
    least_coverage: float = 0.0,
) -> Pulse:
    """The state of the stream now. Every query uses an index over new rows, however large the tables are.

    live_seconds : a window whose readings waited longer than this in Kafka was not scored live: it is of a backlog
    least_coverage : windows with less are left out of `recent`
    """
    at, watches, windows, readings, seconds, *latency, backlog, behind, unfamiliar, bare, kcal, dead = (
        fetch_one(
            connection,
            _PULSE,
            {"live_seconds": live_seconds, "unfamiliar": UNFAMILIAR, "profiles": list(profiles())},
        )
    )
    p50, p95, live_p50, live_p95 = latency
    batch = fetch_row(connection, _BATCH, (topic,)) or (None, None, None, {}, None, None, None)
    name, labels = fetch_row(connection, _MODEL, (batch[4],)) or (None, [])
    values = {"recent": recent, "least_coverage": least_coverage, "held_back": HELD_BACK}
    shown = fetch_all(connection, _RECENT, values)
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
        recent=tuple(Recent(*row) for row in shown),
        topic_id=batch[6],
        without_profile=bare,
        unfamiliar=unfamiliar,
    )


_OF_LATE = (
    "SELECT count(DISTINCT device_id) FROM predictions WHERE processed_at > now() - interval '10 minutes'"
)
_SINCE = "SELECT count(*) FROM newest_windows(%s)"


def watches_of_late(connection: Connection) -> int:
    """Watches whose windows were scored in the last ten minutes."""
    return int(fetch_value(connection, _OF_LATE))


def watches_since(connection: Connection, since: datetime) -> int:
    """Watches with a window that began since a time: one look-up a watch and day, however many windows each has."""
    return int(fetch_value(connection, _SINCE, (since,)))


def watches_at_last(connection: Connection) -> int:
    """Watches with a window in the ten minutes up to the newest one, however long ago that was."""
    newest = fetch_value(connection, "SELECT max(window_start) FROM predictions")
    return 0 if newest is None else watches_since(connection, newest - timedelta(minutes=10))


def count_dead_letters(connection: Connection) -> int:
    """The number of dead letters."""
    return int(fetch_value(connection, "SELECT count(*) FROM dead_letters"))
