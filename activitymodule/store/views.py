"""What the console's pages show of the stream: one query a view, each along an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from activitymodule.store.audit import HELD_BACK, HIDDEN
from activitymodule.store.connection import Connection
from activitymodule.store.live import watches_since
from activitymodule.store.queries import fetch_all, fetch_one, fetch_row, fetch_value

UNCERTAIN_BELOW = 0.6
"""A prediction with less confidence counts as uncertain."""


@dataclass(frozen=True)
class Overview:
    """The state of the whole loop, for the start page. Counts of the queue and of labels are of all time."""

    trained_version: str | None  # the newest version that was registered
    serving_version: str | None  # the version of the newest batch
    newest_at: datetime | None  # when the newest window was written
    age_seconds: float | None  # since then
    watches: int  # with a window in the last hour
    waiting: int
    queued: int
    gold_labels: int
    new_gold_labels: int  # since the last retraining that came to a decision
    disputed: int
    labelled_this_hour: int  # by the user who asks


_OVERVIEW = """
SELECT
  (SELECT version FROM model_versions WHERE name = %(classifier)s ORDER BY registered_at DESC LIMIT 1),
  (SELECT model_version FROM batches WHERE model_version IS NOT NULL ORDER BY started_at DESC LIMIT 1),
  newest.at,
  extract(epoch FROM clock_timestamp() - newest.at)::double precision,
  %(watches)s,
  (SELECT count(*) FROM queue_items WHERE closed_at IS NULL AND expires_at > clock_timestamp()),
  (SELECT count(*) FROM queue_items),
  (SELECT count(*) FROM gold_labels WHERE label IS NOT NULL),
  (SELECT count(*) FROM gold_labels WHERE label IS NOT NULL AND labelled_at > coalesce(
     (SELECT max(started_at) FROM retrain_runs WHERE state IN ('promoted', 'rejected')), '-infinity')),
  (SELECT count(*) FROM gold_labels WHERE disputed),
  (SELECT count(*) FROM annotations_in_force a WHERE a.answer = 'label' AND a.annotator = %(annotator)s
     AND a.created_at > date_trunc('hour', clock_timestamp()))
FROM (SELECT max(processed_at) FROM predictions) AS newest (at)
"""


def overview(connection: Connection, classifier: str, annotator: str) -> Overview:
    """The state of the loop now; `labelled_this_hour` is of `annotator`."""
    watches = watches_since(connection, datetime.now(UTC) - timedelta(hours=1))
    values = {"classifier": classifier, "annotator": annotator, "watches": watches}
    return Overview(*fetch_one(connection, _OVERVIEW, values))


# ---- predictions, page by page --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filter:
    """A filter of predictions.

    device_prefix : beginning of the watch's name
    activity : of the window, "none" for windows without one
    uncertain : only with a confidence under UNCERTAIN_BELOW
    """

    device_prefix: str = ""
    activity: str = ""
    uncertain: bool = False

    def __bool__(self) -> bool:
        return bool(self.device_prefix or self.activity or self.uncertain)


@dataclass(frozen=True)
class Prediction:
    """One scored window. activity : of the window alone; smoothed_activity : given the watch's last windows."""

    device_id: str
    window_start: datetime
    activity: str | None
    confidence: float | None
    smoothed_activity: str | None
    kcal_per_min: float | None
    coverage: float
    conformal_set: Sequence[str] | None
    reason: str | None
    model_version: str | None
    familiarity: float | None = None
    decided: str | None = None

    @property
    def place(self) -> tuple[datetime, str]:
        """Where the next, older page begins."""
        return self.window_start, self.device_id


# a filter of what the model says leaves out the windows of which it may not be shown
_PREDICTIONS = f"""
SELECT device_id, window_start, CASE WHEN NOT hidden THEN activity END, CASE WHEN NOT hidden THEN confidence END,
       CASE WHEN NOT hidden THEN smoothed_activity END, CASE WHEN NOT hidden THEN kcal_per_min END, coverage,
       CASE WHEN NOT hidden THEN conformal_set END, CASE WHEN hidden THEN %(held_back)s ELSE reason END, model_version,
       CASE WHEN NOT hidden THEN familiarity END, CASE WHEN NOT hidden THEN decided END
FROM (SELECT p.*, {HIDDEN} AS hidden FROM (
    SELECT * FROM predictions p
    WHERE window_end <= now() - interval '5 seconds' AND (%(device)s = '' OR device_id LIKE %(device)s)
      AND (%(activity)s = '' OR coalesce(smoothed_activity, activity) = %(activity)s
           OR (%(activity)s = 'none' AND activity IS NULL))
      AND (%(uncertain)s = false OR confidence < %(below)s)
      AND ((%(activity)s = '' AND %(uncertain)s = false) OR NOT {HIDDEN})
      AND (%(before)s::timestamptz IS NULL OR (window_start, device_id) < (%(before)s, %(before_device)s))
      AND (%(since)s::timestamptz IS NULL OR window_start >= %(since)s)
      AND (%(before)s::timestamptz IS NULL OR window_start <= %(before)s)
    ORDER BY window_start DESC, device_id DESC
    LIMIT %(limit)s) AS p) AS shown
ORDER BY window_start DESC, device_id DESC
"""
_ESCAPED = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def list_predictions(
    connection: Connection, which: Filter, *, before: tuple[datetime, str] | None = None, limit: int
) -> list[Prediction]:
    """Predictions of windows that have ended, newest first; before : the `place` of the last one of the page before."""
    start, device = before or (None, "")
    values = {
        "device": which.device_prefix.translate(_ESCAPED) + "%" if which.device_prefix else "",
        "activity": which.activity,
        "uncertain": which.uncertain,
        "below": UNCERTAIN_BELOW,
        "before": start,
        "before_device": device,
        "limit": limit,
        "held_back": HELD_BACK,
    }
    # a page is most often of one day: only then are the partitions of all days looked at
    for since in ((start or datetime.now(UTC)) - timedelta(days=1), None):
        rows = fetch_all(connection, _PREDICTIONS, {**values, "since": since})
        if len(rows) == limit:
            break
    return [Prediction(*row) for row in rows]


def newest_labels(connection: Connection) -> list[str]:
    """The label set of the newest model version; empty if there is none."""
    row = fetch_row(connection, "SELECT labels FROM model_versions ORDER BY registered_at DESC LIMIT 1")
    return list(row[0]) if row else []


# ---- the fleet over the last half hour ----------------------------------------------------------------------------

_NO_END = float("inf")
# a time is cut by date_bin, and once a group: numeric arithmetic for each row takes longer than reading it
_COUNTS = """
SELECT extract(epoch FROM bucket)::bigint, activity, n
FROM (
    SELECT date_bin(make_interval(secs => %(bucket)s), window_start, timestamptz 'epoch') AS bucket,
           coalesce(smoothed_activity, activity) AS activity, count(*) AS n
    FROM predictions
    WHERE window_start >= to_timestamp(%(since)s) AND window_start < least(to_timestamp(%(until)s), now())
      AND activity IS NOT NULL
    GROUP BY 1, 2
) AS counts
"""
_LATENCY = """
SELECT extract(epoch FROM bucket)::bigint, seconds, n
FROM (
    SELECT date_bin(make_interval(secs => %(bucket)s), processed_at, timestamptz 'epoch') AS bucket,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY date_part('epoch', processed_at - received_at))
               AS seconds,
           count(*) AS n
    FROM predictions
    WHERE processed_at >= to_timestamp(%(since)s) AND processed_at < to_timestamp(%(until)s) AND coverage >= 0.99
      AND processed_at - received_at <= make_interval(secs => %(live_seconds)s)
    GROUP BY 1
) AS latencies
"""


@dataclass(frozen=True)
class Latency:
    """From a window's last message in Kafka to its row in the store, in seconds, over `windows` complete windows."""

    p50: float
    p95: float
    windows: int


def activity_counts(
    connection: Connection, since: int, bucket_seconds: int, until: float = _NO_END
) -> dict[int, dict[str, int]]:
    """Windows by start and activity in [since, until), Unix times: bucket (Unix seconds) -> activity -> windows."""
    counts: dict[int, dict[str, int]] = {}
    values = {"bucket": bucket_seconds, "since": since, "until": until}
    for bucket, activity, n in fetch_all(connection, _COUNTS, values):
        counts.setdefault(bucket, {})[activity] = n
    return counts


def live_latency(
    connection: Connection, since: int, bucket_seconds: int, live_seconds: float, until: float = _NO_END
) -> dict[int, Latency]:
    """Latency of complete windows by when they were written, in [since, until): bucket (Unix seconds) -> Latency.

    Windows that waited in Kafka for more than live_seconds are a backlog, and left out.
    """
    values = {"bucket": bucket_seconds, "since": since, "until": until, "live_seconds": live_seconds}
    return {bucket: Latency(p50, p95, n) for bucket, (p50, p95), n in fetch_all(connection, _LATENCY, values)}


def dead_letters_last_hour(connection: Connection) -> int:
    """How many dead letters were noticed in the last hour."""
    sql = "SELECT count(*) FROM dead_letters WHERE noticed_at > now() - interval '1 hour'"
    return int(fetch_value(connection, sql))


# ---- one watch --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WatchWindow:
    """One window of a watch."""

    window_start: datetime
    window_end: datetime
    activity: str | None
    smoothed_activity: str | None
    confidence: float | None
    kcal_per_min: float | None
    reason: str | None
    processed_at: datetime
    familiarity: float | None = None
    decided: str | None = None

    @property
    def label(self) -> str | None:
        """The activity to show: smoothed where it is known."""
        return self.smoothed_activity or self.activity


@dataclass(frozen=True)
class Bout:
    """A stretch of one activity; mean_confidence : over its windows."""

    activity: str
    bout_start: datetime
    bout_end: datetime
    minutes: float
    mean_confidence: float | None
    kcal: float | None


_NEWEST_OF_WATCH = "SELECT max(window_start) FROM predictions WHERE device_id = %s AND window_start >= %s"
_NEWEST_END_OF_WATCH = "SELECT max(window_end) FROM predictions WHERE device_id = %s AND window_start >= %s"
_WATCH_WINDOWS = f"""
SELECT window_start, window_end, CASE WHEN NOT hidden THEN activity END,
       CASE WHEN NOT hidden THEN smoothed_activity END, CASE WHEN NOT hidden THEN confidence END,
       CASE WHEN NOT hidden THEN kcal_per_min END, CASE WHEN hidden THEN %(held_back)s ELSE reason END, processed_at,
       CASE WHEN NOT hidden THEN familiarity END, CASE WHEN NOT hidden THEN decided END
FROM (SELECT p.*, {HIDDEN} AS hidden FROM predictions p
      WHERE device_id = %(device)s
        AND window_start > %(since)s AND window_start <= %(until)s
     ) AS shown
ORDER BY window_start
"""
_BOUTS = f"""
SELECT activity, bout_start, bout_end, minutes, mean_confidence, kcal
FROM (SELECT *, bout_start AS window_start, bout_end AS window_end FROM bouts_since(%(since)s)
      WHERE device_id = %(device)s) AS p
WHERE NOT {HIDDEN} ORDER BY bout_start DESC LIMIT 30
"""
_NEWEST = "SELECT max(window_start) FROM predictions WHERE window_start >= %s"
_WATCHES = """
SELECT DISTINCT device_id FROM predictions WHERE window_start > %s AND window_start <= %s ORDER BY device_id LIMIT 200
"""


def _last_day_first() -> tuple[datetime | str, ...]:
    """Where to look for the newest window: by constants, for the planner to leave out the partitions of other days."""
    return datetime.now(UTC) - timedelta(days=1), "-infinity"


def last_hour_of(connection: Connection, device_id: str) -> list[WatchWindow]:
    """The windows of a watch in the hour up to its newest one, oldest first."""
    for since in _last_day_first():
        newest = fetch_value(connection, _NEWEST_OF_WATCH, (device_id, since))
        if newest is not None:
            hour = {"since": newest - timedelta(hours=1), "until": newest}
            values = {"device": device_id, "held_back": HELD_BACK, **hour}
            return [WatchWindow(*row) for row in fetch_all(connection, _WATCH_WINDOWS, values)]
    return []


def newest_window_end(connection: Connection, device_id: str) -> datetime | None:
    """Where the newest window of a watch ends; None without one."""
    for since in _last_day_first():
        newest = fetch_value(connection, _NEWEST_END_OF_WATCH, (device_id, since))
        if newest is not None:
            return cast(datetime, newest)
    return None


def windows_of(
    connection: Connection, device_id: str, since: datetime, until: datetime
) -> list[tuple[datetime, datetime, str | None]]:
    """The windows of a watch that overlap [since, until), oldest first: start, end and the activity to show, None where
    there is none or where it is held back (store/audit.py)."""
    # a window is at most ten minutes long; the planner leaves out the partitions of other days by constants alone
    values = {
        "device": device_id,
        "held_back": HELD_BACK,
        "since": since - timedelta(minutes=10),
        "until": until,
    }
    found = (WatchWindow(*row) for row in fetch_all(connection, _WATCH_WINDOWS, values))
    return [(one.window_start, one.window_end, one.label) for one in found if one.window_end > since]


def bouts_of(connection: Connection, device_id: str, since: datetime) -> list[Bout]:
    """The last thirty bouts of a watch since a time, newest first; without those of an unlabelled audit window."""
    return [Bout(*row) for row in fetch_all(connection, _BOUTS, {"device": device_id, "since": since})]


def recent_watches(connection: Connection) -> list[str]:
    """Up to 200 watches with a window in the last ten minutes of data, by name."""
    for since in _last_day_first():
        newest = fetch_value(connection, _NEWEST, (since,))
        if newest is not None:
            values = (newest - timedelta(minutes=10), newest)
            return [row[0] for row in fetch_all(connection, _WATCHES, values)]
    return []
