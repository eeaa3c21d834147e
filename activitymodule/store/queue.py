"""The annotation queue: windows put into it, and what the selection policy reads of the store.

Everything happens in the caller's transaction. A window is queued once: its watch and start are the key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from psycopg2 import Binary
from psycopg2.extras import Json, execute_values

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all, fetch_value
from activitymodule.store.times import AS_TIME, AS_US, literals

_PUT = """
INSERT INTO queue_items (
    device_id, window_start, window_end, stratum, reason, doubt, doubts, propensity, decision, required_labels,
    readings, features, features_version, activity, probabilities, conformal_set, kcal_per_min, model_version,
    energy_version, expires_at
) VALUES %s
ON CONFLICT (device_id, window_start) DO NOTHING
"""
_PUT_TEMPLATE = (
    f"(%s, {AS_TIME.format('%s')}, {AS_TIME.format('%s')}, %s, %s, %s, %s, %s, %s, %s, %s, %s::real[], %s, %s, "
    "%s::real[], %s::text[], %s, %s, %s, clock_timestamp() + %s * interval '1 hour')"
)


@dataclass(frozen=True)
class QueueItem:
    """A window to be queued.

    doubts : by measure, NaN where a measure does not apply
    readings : packed (windows/packing), sorted by stamp, each stamp once
    features : float32 (n_features,), in the order of FEATURE_NAMES
    probabilities : float32 (n_labels,)
    person : who wore the watch, the watch itself where that is not known; not stored
    """

    device_id: str
    window_start_us: int
    window_end_us: int
    stratum: str
    reason: str
    doubt: float
    doubts: dict[str, float]
    propensity: float
    decision: Mapping[str, Any]
    required_labels: int
    readings: bytes
    features: np.ndarray
    features_version: str
    activity: str
    probabilities: np.ndarray
    conformal_set: tuple[str, ...]
    kcal_per_min: float
    model_version: str
    energy_version: str | None
    expire_hours: float
    person: str = ""


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _reals(values: np.ndarray) -> list[float]:
    """As PostgreSQL's real[]: NaN stays NaN."""
    return np.asarray(values, np.float32).astype(float).tolist()


def put(connection: Connection, items: Sequence[QueueItem]) -> int:
    """Queue items; returns how many are new."""
    if not items:
        return 0
    rows = [
        (
            item.device_id,
            int(item.window_start_us),
            int(item.window_end_us),
            item.stratum,
            item.reason,
            _number(item.doubt),
            Json({name: _number(value) for name, value in item.doubts.items()}),
            float(item.propensity),
            Json(dict(item.decision)),
            item.required_labels,
            Binary(item.readings),
            _reals(item.features),
            item.features_version,
            item.activity,
            _reals(item.probabilities),
            list(item.conformal_set),
            _number(item.kcal_per_min),
            item.model_version,
            item.energy_version,
            item.expire_hours,
        )
        for item in sorted(items, key=lambda item: (item.device_id, item.window_start_us))
    ]
    with connection.cursor() as cursor:
        execute_values(cursor, _PUT, rows, template=_PUT_TEMPLATE, page_size=len(rows))
        return int(cursor.rowcount)


_EXPIRE = """
UPDATE queue_items q SET closed_at = clock_timestamp(), closed_because = 'expired'
WHERE q.closed_at IS NULL AND q.expires_at <= clock_timestamp()
  AND NOT EXISTS (SELECT FROM leases l WHERE l.item_id = q.item_id AND l.expires_at > clock_timestamp())
"""


def expire(connection: Connection) -> int:
    """Close items that were not answered in time, except those under a lease; returns how many."""
    return execute(connection, _EXPIRE)


# ---- the policy's view of the past

_LABELS = (
    "SELECT count(DISTINCT (device_id, window_start)) FROM annotations_not_undone WHERE answer = 'label'"
)
# All watches that these persons ever wore; one that nobody is known to have worn is a person of its own.
_WORN = """
CROSS JOIN LATERAL (
    SELECT w.device_id FROM participant_devices w WHERE w.participant = given.person UNION SELECT given.person
) AS worn
"""
_NEAR = f"""
SELECT q.device_id, {AS_US.format("q.window_start")}, given.person
FROM (
    SELECT person, min(us) AS first, max(us) AS last
    FROM unnest(%(persons)s::text[], %(starts)s::bigint[]) AS given (person, us) GROUP BY person
) AS given
{_WORN}
JOIN queue_items q ON q.device_id = worn.device_id
 AND q.window_start > {AS_TIME.format("(given.first - %(within)s)")}
 AND q.window_start < {AS_TIME.format("(given.last + %(within)s)")}
WHERE person_of(q.device_id, q.window_start) = given.person
"""
_OF_PERSON = f"""
SELECT given.person, count(*) FROM unnest(%s::text[]) AS given (person)
{_WORN}
JOIN queue_items q ON q.device_id = worn.device_id AND person_of(q.device_id, q.window_start) = given.person
GROUP BY given.person
"""
_OF_ACTIVITY = """
SELECT activity, count(*) FROM (
    SELECT activity FROM queue_items ORDER BY queued_at DESC LIMIT %s
) AS last GROUP BY activity
"""
_LAST_FEATURES = (
    "SELECT person_of(device_id, window_start), features FROM queue_items WHERE features_version = %s "
    "ORDER BY queued_at DESC LIMIT %s"
)


def labels_so_far(connection: Connection) -> int:
    """Windows with a label that was not undone."""
    return int(fetch_value(connection, _LABELS))


class NearItem(NamedTuple):
    """An item of the queue: its window, and who wore the watch."""

    device_id: str
    window_start_us: int
    person: str


def items_near(
    connection: Connection, person: Sequence[str], window_start_us: Sequence[int], within_us: int
) -> list[NearItem]:
    """Items within `within_us` of any of these windows of the same person, on whichever watch.

    person : the participant where one is known, else the watch (participants.persons_of)
    """
    values = {
        "persons": list(person),
        "starts": [int(us) for us in window_start_us],
        "within": int(within_us),
    }
    return [NearItem(device, int(us), who) for device, us, who in fetch_all(connection, _NEAR, values)]


def items_of(connection: Connection, person: Sequence[str]) -> dict[str, int]:
    """How many items each of these persons ever had."""
    rows = fetch_all(connection, _OF_PERSON, (sorted(set(person)),))
    return {row[0]: row[1] for row in rows}


def items_by_activity(connection: Connection, count: int = 1000) -> dict[str, int]:
    """How many of the last items were predicted as each activity."""
    return {row[0]: row[1] for row in fetch_all(connection, _OF_ACTIVITY, (count,))}


def last_features(
    connection: Connection, features_version: str, count: int
) -> tuple[list[str], list[np.ndarray]]:
    """Persons and features, float32 (n_features,) each, of the last items, the newest first."""
    rows = fetch_all(connection, _LAST_FEATURES, (features_version, count))
    return [row[0] for row in rows], [np.array(row[1], np.float32) for row in rows]


# OFFSET 0: one look-up along the primary key a window, whatever the planner believes of sizes
_PAST = f"""
SELECT given.place - 1, seen.earlier, seen.probabilities
FROM unnest(%(devices)s::text[], %(starts)s::bigint[]) WITH ORDINALITY AS given (device_id, us, place)
CROSS JOIN LATERAL (
    SELECT p.probabilities,
           round((given.us - {AS_US.format("p.window_start")}) / %(length)s::numeric)::integer AS earlier
    FROM predictions p
    WHERE p.device_id = given.device_id AND p.window_start < {AS_TIME.format("given.us")}
      AND p.window_start >= {AS_TIME.format("(given.us - %(windows)s * %(length)s)")}
      -- so that other days are not even planned for
      AND p.window_start BETWEEN %(earliest)s::timestamptz AND %(latest)s::timestamptz
      AND p.probabilities IS NOT NULL AND p.model_version = %(version)s
      AND mod(given.us - {AS_US.format("p.window_start")}, %(length)s) = 0
    OFFSET 0
) AS seen
"""


def past_probabilities(
    connection: Connection,
    device_id: Sequence[str],
    window_start_us: Sequence[int],
    *,
    windows: int,
    window_us: int,
    labels: int,
    version: str,
) -> np.ndarray:
    """Probabilities of the windows before these, float64 (n, windows, labels), oldest first.

    NaN where the store has no window scored by this version.
    """
    past = np.full((len(device_id), windows, labels), np.nan)
    starts = [int(us) for us in window_start_us]
    earliest, latest = literals([min(starts, default=0) - windows * window_us, *starts])
    values = {
        "devices": list(device_id),
        "starts": starts,
        "earliest": earliest,
        "latest": latest,
        "windows": windows,
        "length": window_us,
        "version": version,
    }
    for place, earlier, probabilities in fetch_all(connection, _PAST, values):
        if 1 <= earlier <= windows and len(probabilities) == labels:
            past[place, windows - earlier] = probabilities
    return past
