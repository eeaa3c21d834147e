"""Feature statistics by minute (table feature_minutes) and drift alarms (drift_alarms)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import numpy as np

from activitymodule.models.baseline import Totals
from activitymodule.store.connection import Connection
from activitymodule.store.locks import MERGING_MINUTES
from activitymodule.store.queries import execute, fetch_all, fetch_row, fetch_value

_WRITE = """
INSERT INTO feature_minutes (minute, model_version, query_id, batch_id, part, windows, counts, sums, squares,
                             histogram, activities, confidence_sum, confidences, watches)
VALUES (%s, %s, %s, %s, %s, %s, %s::integer[], %s::float8[], %s::float8[], %s::integer[], %s::integer[], %s,
        %s::integer[], %s)
ON CONFLICT (minute, model_version, query_id, batch_id, part) DO UPDATE SET
    windows = excluded.windows, counts = excluded.counts, sums = excluded.sums, squares = excluded.squares,
    histogram = excluded.histogram, activities = excluded.activities,
    confidence_sum = excluded.confidence_sum, confidences = excluded.confidences, watches = excluded.watches
"""
_REST = "rest "  # begins the query_id of rows that a console wrote
_LATE = "late "  # ... and of late windows
# Only batches that can no longer be replayed: Spark replays at most the last one that was begun. What a console wrote,
# and late windows, are never written again.
_TAKE = f"""
DELETE FROM feature_minutes f
WHERE batch_id >= 0 AND (starts_with(query_id, '{_REST}') OR starts_with(query_id, '{_LATE}') OR EXISTS (
    SELECT FROM batches b
    WHERE b.query_id = f.query_id AND b.batch_id > f.batch_id AND b.finished_at IS NOT NULL))
RETURNING minute, model_version, watches, windows, counts::text, sums::text, squares::text, histogram::text,
          activities::text, confidence_sum, confidences::text
"""
_TAKE_MERGED = """
DELETE FROM feature_minutes WHERE minute = %s AND model_version = %s AND batch_id = -1
RETURNING watches, windows, counts::text, sums::text, squares::text, histogram::text, activities::text,
          confidence_sum, confidences::text
"""
_BY_WATCH = """
SELECT device_id, activity, count(*), sum(confidence)::double precision FROM predictions
WHERE model_version = %s AND coverage >= %s AND window_start > %s AND window_start <= %s AND activity IS NOT NULL
GROUP BY device_id, activity
"""
_MERGED = -1  # the batch_id of a row that was merged
_PEOPLE = "SELECT count(DISTINCT person_of(watch, now())) FROM unnest(%s::text[]) AS watch"


def write_minutes(
    connection: Connection,
    minutes: Mapping[int, Totals],
    *,
    model_version: str,
    query_id: str,
    batch_id: int,
    part: int,
) -> None:
    """Write one task's rows in the caller's transaction; a replayed batch writes the same rows again.

    minutes : minute (UTC microseconds) -> totals of the windows that begin in it
    """
    for minute_us, totals in sorted(minutes.items()):
        _insert(connection, _time(minute_us), model_version, query_id, batch_id, part, totals)


def write_late_minutes(connection: Connection, minutes: Mapping[int, Totals], *, model_version: str) -> None:
    """Write what was counted of late windows once, in the transaction that stores them as complete.

    Whoever does it again finds them complete, and counts none of them.
    """
    query_id = f"{_LATE}{uuid4()}"
    write_minutes(connection, minutes, model_version=model_version, query_id=query_id, batch_id=0, part=0)


def write_rest_minutes(
    connection: Connection,
    minutes: Mapping[int, Totals],
    *,
    model_version: str,
    replica: str,
    number: int,
    devices: Sequence[str],
) -> None:
    """Write what one console scored by REST, once, in the caller's transaction; the arguments as of `write_minutes`.

    replica : the process; number : grows with each call of it; devices : the watches it lately scored
    """
    watches = int(fetch_value(connection, _PEOPLE, (list(devices),)))
    for minute_us, totals in sorted(minutes.items()):
        minute, query = _time(minute_us), f"{_REST}{replica}"
        _insert(connection, minute, model_version, query, number, 0, totals, watches)


def _insert(
    connection: Connection,
    minute: datetime,
    version: str,
    query_id: str,
    batch_id: int,
    part: int,
    totals: Totals,
    watches: int = 0,
) -> None:
    values = (
        minute,
        version,
        query_id,
        batch_id,
        part,
        totals.windows,
        _array(totals.counts),
        _array(np.round(totals.sums, 4)),
        _array(np.round(totals.squares, 4)),
        _array(totals.histogram.ravel()),
        _array(totals.activities),
        round(totals.confidence_sum, 4),
        _array(totals.confidences),
        watches,
    )
    execute(connection, _WRITE, values)


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)


def _array(values: np.ndarray) -> str:
    """An array literal; much quicker than a list that psycopg2 adapts number by number."""
    return "{" + ",".join(map(str, values.tolist())) + "}"


def _numbers(text: str, kind: type) -> np.ndarray:
    values = np.array(text[1:-1].split(","), np.float64) if len(text) > 2 else np.empty(0)
    return values.astype(kind)


def _totals(row: Sequence[Any]) -> Totals:
    windows, counts, sums, squares, histogram, activities, confidence_sum, confidences = row
    counted = _numbers(counts, np.int64)
    return Totals(
        windows=windows,
        counts=counted,
        sums=_numbers(sums, np.float64),
        squares=_numbers(squares, np.float64),
        histogram=_numbers(histogram, np.int64).reshape(len(counted), -1),
        activities=_numbers(activities, np.int64),
        confidence_sum=confidence_sum,
        confidences=_numbers(confidences, np.int64),
    )


def merge_minutes(connection: Connection) -> int:
    """Add up the rows of each minute and version whose batches are finished; returns how many rows were merged.

    In the caller's transaction; 0 while another process merges. The result of `read_seen` does not change.
    """
    if not fetch_value(connection, "SELECT pg_try_advisory_xact_lock(%s)", (MERGING_MINUTES,)):
        return 0
    taken = fetch_all(connection, _TAKE)
    merged: dict[tuple[datetime, str], tuple[Totals, int]] = {}
    for minute, version, watches, *row in taken:
        totals, before = _totals(row), merged.get((minute, version))
        if before is not None:
            totals, watches = before[0] + totals, max(before[1], watches)
        merged[minute, version] = totals, watches
    for (minute, version), (totals, watches) in sorted(merged.items(), key=lambda item: item[0]):
        earlier = fetch_row(connection, _TAKE_MERGED, (minute, version))
        if earlier:
            totals, watches = totals + _totals(earlier[1:]), max(watches, earlier[0])
        _insert(connection, minute, version, "", _MERGED, 0, totals, watches)
    return len(taken)


def forget_minutes(connection: Connection, keep_days: float) -> int:
    """Delete minutes older than `keep_days` and alarms that ended before twice that; returns how many minutes."""
    old_alarms = "DELETE FROM drift_alarms WHERE over_at < now() - %s * interval '1 day'"
    execute(connection, old_alarms, (2 * keep_days,))
    return execute(
        connection, "DELETE FROM feature_minutes WHERE minute < now() - %s * interval '1 day'", (keep_days,)
    )


@dataclass(frozen=True)
class Seen:
    """The totals of a version between two times: windows begin in [since, until).

    watches : whose windows they are, at the least; watches that one person is known to wear count as one
    """

    since: datetime
    until: datetime
    totals: Totals
    watches: int


_NEWEST = "SELECT max(minute) + interval '1 minute' FROM feature_minutes WHERE model_version = %s"
_READ = """
SELECT windows, counts::text, sums::text, squares::text, histogram::text, activities::text, confidence_sum,
       confidences::text
FROM feature_minutes
WHERE model_version = %s AND minute >= %s::timestamptz - %s * interval '1 minute'
"""
# a watch's newest window is most often of the version: one look-up a watch
_WATCHES = """
SELECT count(DISTINCT person_of(device_id, last.at))
FROM newest_windows(%(since)s)
CROSS JOIN LATERAL (
    SELECT max(p.window_start) AS at FROM predictions p
    WHERE p.device_id = newest_windows.device_id AND p.window_start >= %(since)s AND p.window_start < %(until)s
      AND p.model_version = %(version)s AND p.activity IS NOT NULL AND p.coverage >= %(coverage)s
) AS last
WHERE last.at IS NOT NULL
"""
# by REST: no window of them is stored, so each console counts its own
_WATCHES_BY_REST = """
SELECT coalesce(max(watches), 0) FROM feature_minutes
WHERE model_version = %s AND minute >= %s::timestamptz - %s * interval '1 minute'
"""


def read_seen(
    connection: Connection, model_version: str, minutes: float, least_coverage: float
) -> Seen | None:
    """The totals of the last `minutes` up to the newest window of a version; None without any.

    least_coverage : of the windows by which watches are counted
    """
    until = fetch_value(connection, _NEWEST, (model_version,))
    if until is None:
        return None
    totals: Totals | None = None
    for row in fetch_all(connection, _READ, (model_version, until, minutes)):
        one = _totals(row)
        totals = one if totals is None else totals + one
    if totals is None:
        return None
    since = until - timedelta(minutes=minutes)
    watches = watches_seen(connection, model_version, since, until, least_coverage)
    by_rest = fetch_value(connection, _WATCHES_BY_REST, (model_version, until, minutes))
    return Seen(since, until, totals, max(watches, int(by_rest), 1))


def watches_seen(
    connection: Connection, version: str, since: datetime, until: datetime, least_coverage: float
) -> int:
    """People whose watches have a complete window of a version that starts in [since, until)."""
    values = {"version": version, "since": since, "until": until, "coverage": least_coverage}
    return int(fetch_value(connection, _WATCHES, values))


_COURSE = """
SELECT date_bin(%(seconds)s * interval '1 second', minute, %(since)s), windows, counts::text, sums::text,
       squares::text, histogram::text, activities::text, confidence_sum, confidences::text
FROM feature_minutes
WHERE model_version = %(version)s AND minute >= %(since)s AND minute < %(until)s
"""


def read_course(
    connection: Connection, version: str, since: datetime, until: datetime, parts: int
) -> list[tuple[datetime, Totals]]:
    """The totals of a version in equal parts of the time from `since` until `until`, by their begin, those without a
    window left out."""
    seconds = (until - since).total_seconds() / parts
    values = {"seconds": seconds, "since": since, "until": until, "version": version}
    found: dict[datetime, Totals] = {}
    for begin, *row in fetch_all(connection, _COURSE, values):
        one = _totals(row)
        found[begin] = found[begin] + one if begin in found else one
    return sorted(found.items(), key=lambda item: item[0])


@dataclass(frozen=True)
class WatchCount:
    """Complete windows of one watch and predicted activity."""

    device_id: str
    activity: str
    windows: int
    confidence_sum: float


def read_by_watch(
    connection: Connection, version: str, since: datetime, until: datetime, least_coverage: float
) -> list[WatchCount]:
    """The complete windows of a version that start in (since, until], by watch and activity."""
    values = (version, least_coverage, since, until)
    return [WatchCount(*row) for row in fetch_all(connection, _BY_WATCH, values)]


# ---- alarms


@dataclass(frozen=True)
class Tripped:
    """A measure over its threshold `bar`: `measure` of `subject` (a feature, an activity, or all)."""

    measure: str
    subject: str
    value: float
    bar: float


@dataclass(frozen=True)
class Alarm:
    """A measure over its threshold, since when; over_at: when the alarm ended, None while it is open."""

    measure: str
    subject: str
    model_version: str
    value: float
    bar: float
    since: datetime
    last_seen: datetime
    over_at: datetime | None


_ALARMS = """
SELECT measure, subject, model_version, value, bar, since, last_seen, over_at FROM drift_alarms
WHERE over_at IS NULL OR NOT %s ORDER BY over_at IS NULL DESC, since DESC, measure, subject LIMIT %s
"""
_SEE = """
INSERT INTO drift_alarms AS a (measure, subject, model_version, value, bar, since, last_seen)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (measure, subject, model_version) WHERE over_at IS NULL DO UPDATE SET
    value = excluded.value, bar = excluded.bar, last_seen = greatest(a.last_seen, excluded.last_seen)
"""
_OVER = """
UPDATE drift_alarms SET over_at = greatest(since, %(at)s)
WHERE over_at IS NULL AND (
    model_version <> %(version)s
    OR NOT EXISTS (
        SELECT FROM unnest(%(measures)s::text[], %(subjects)s::text[]) AS still (measure, subject)
        WHERE still.measure = drift_alarms.measure AND still.subject = drift_alarms.subject))
"""


def update_alarms(
    connection: Connection, model_version: str, tripped: Sequence[Tripped], at: datetime
) -> None:
    """Open alarms for measures over their threshold, renew open ones, and end those that are over.

    Alarms of other versions than the one that serves end too.
    """
    for one in sorted(tripped, key=lambda t: (t.measure, t.subject)):
        values = (one.measure, one.subject, model_version, float(one.value), float(one.bar), at, at)
        execute(connection, _SEE, values)
    still = {
        "at": at,
        "version": model_version,
        "measures": [one.measure for one in tripped],
        "subjects": [one.subject for one in tripped],
    }
    execute(connection, _OVER, still)


def alarms(connection: Connection, *, open_only: bool = False, limit: int = 1000) -> list[Alarm]:
    """Alarms, open ones first, then the newest."""
    return [Alarm(*row) for row in fetch_all(connection, _ALARMS, (open_only, limit))]
