"""The queue of windows that wait for a person: what is put there, by which budget, and why.

Everything happens within the caller's transaction. A window is queued once: the watch and its start are the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from psycopg2 import Binary
from psycopg2.extras import Json, RealDictCursor, execute_values

from activitymodule.errors import DataError
from activitymodule.learning.policy import AuditPeriod, Budget, Rules
from activitymodule.store.connection import Connection

_EPOCH = "timestamptz 'epoch' + {} * interval '1 microsecond'"
_US = "(extract(epoch FROM {}) * 1000000)::bigint"

_PUT = """
INSERT INTO queue_items (
    device_id, window_start, window_end, stratum, reason, doubt, doubts, propensity, decision, required_labels,
    readings, features, features_version, activity, probabilities, conformal_set, kcal_per_min, model_version,
    energy_version, expires_at
) VALUES %s
ON CONFLICT (device_id, window_start) DO NOTHING
"""
_PUT_TEMPLATE = (
    f"(%s, {_EPOCH.format('%s')}, {_EPOCH.format('%s')}, %s, %s, %s, %s, %s, %s, %s, %s, %s::real[], %s, %s, "
    "%s::real[], %s::text[], %s, %s, %s, clock_timestamp() + %s * interval '1 hour')"
)


@dataclass(frozen=True)
class QueueItem:
    """A window to be queued. readings : packed (windows/packing), sorted by stamp, each stamp once; features :
    float32 (n_features,), in the order of FEATURE_NAMES; probabilities : float32 (n_labels,); doubts : by measure,
    NaN where it says nothing."""

    device_id: str
    window_start_us: int
    window_end_us: int
    stratum: str
    reason: str
    doubt: float
    doubts: dict[str, float]
    propensity: float
    decision: dict[str, Any]
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


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _reals(values: np.ndarray) -> list[float]:
    """As PostgreSQL's real[]: NaN stays NaN."""
    return np.asarray(values, np.float32).astype(float).tolist()


def put(connection: Connection, items: Sequence[QueueItem]) -> int:
    """Queue items; returns how many were not there before."""
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
            Json(item.decision),
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


# ---- budget ------------------------------------------------------------------------------------------------------

_BUDGET = f"""
INSERT INTO queue_budget AS b (audit, chosen, as_of) VALUES (%s, %s, clock_timestamp())
ON CONFLICT ("only") DO UPDATE SET audit_lost = b.audit_lost
RETURNING salt, audit, chosen, {_US.format("as_of")}, {_US.format("clock_timestamp()")}
"""
_SPEND = f"""
UPDATE queue_budget SET audit = greatest(%s, 0), chosen = greatest(%s, 0), as_of = {_EPOCH.format("%s")},
    audit_drawn = audit_drawn + %s, audit_lost = audit_lost + %s
"""


@dataclass(frozen=True)
class Account:
    """The budget as it is now, by the store's clock, and the installation's salt."""

    budget: Budget
    salt: str
    now_us: int


def open_account(connection: Connection, rules: Rules) -> Account:
    """The budget, refilled to now, held against others until the transaction ends; a full one the first time."""
    full = Budget.full(rules, 0)
    with connection.cursor() as cursor:
        cursor.execute(_BUDGET, (full.audit, full.chosen))
        salt, audit, chosen, as_of, now = cursor.fetchone()
    return Account(Budget(audit, chosen, as_of).at(now, rules), salt, now)


def spend(connection: Connection, budget: Budget, *, audit_drawn: int = 0, audit_lost: int = 0) -> None:
    """Write back what is left of an account."""
    with connection.cursor() as cursor:
        cursor.execute(_SPEND, (budget.audit, budget.chosen, budget.as_of_us, audit_drawn, audit_lost))


# ---- audit rates -------------------------------------------------------------------------------------------------

_PERIOD = f"{_US.format('from_at')}, {_US.format('until_at')}, rate, windows_per_hour, why"
_LAST_PERIOD = f"""
SELECT {_PERIOD} FROM audit_periods WHERE from_at <= {_EPOCH.format("%s")} ORDER BY from_at DESC LIMIT 1
"""
_CUT = f"""
UPDATE audit_periods SET until_at = {_EPOCH.format("%(at)s")}
WHERE from_at < {_EPOCH.format("%(at)s")} AND until_at > {_EPOCH.format("%(at)s")}
"""
_ADD_PERIOD = f"""
INSERT INTO audit_periods (from_at, until_at, rate, windows_per_hour, why)
VALUES ({_EPOCH.format("%s")}, {_EPOCH.format("%s")}, %s, %s, %s) ON CONFLICT DO NOTHING
"""


def audit_period(connection: Connection, at_us: int) -> AuditPeriod | None:
    """The last period that began by then; it may be over. None where none has."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_PERIOD, (at_us,))
        row = cursor.fetchone()
    return None if row is None else AuditPeriod(int(row[0]), int(row[1]), *row[2:])


def add_audit_period(connection: Connection, period: AuditPeriod) -> None:
    """Record a period before the first window is drawn by it; the one before ends where it begins."""
    with connection.cursor() as cursor:
        cursor.execute(_CUT, {"at": period.from_us})
        cursor.execute(
            _ADD_PERIOD, (period.from_us, period.until_us, period.rate, period.windows_per_hour, period.why)
        )


# ---- what the policy looks back at -------------------------------------------------------------------------------

_LABELS = """
SELECT count(DISTINCT (a.device_id, a.window_start)) FROM annotations a
WHERE a.answer = 'label' AND NOT EXISTS (SELECT FROM annotations u WHERE u.undoes = a.annotation_id)
"""
_NEAR = f"""
SELECT q.device_id, {_US.format("q.window_start")}
FROM (
    SELECT device_id, min(us) AS first, max(us) AS last
    FROM unnest(%(devices)s::text[], %(starts)s::bigint[]) AS asked (device_id, us) GROUP BY device_id
) AS asked
JOIN queue_items q ON q.device_id = asked.device_id
 AND q.window_start > {_EPOCH.format("(asked.first - %(within)s)")}
 AND q.window_start < {_EPOCH.format("(asked.last + %(within)s)")}
"""
_OF_DEVICE = "SELECT device_id, count(*) FROM queue_items WHERE device_id = ANY(%s) GROUP BY device_id"
_OF_ACTIVITY = """
SELECT activity, count(*) FROM (
    SELECT activity FROM queue_items ORDER BY queued_at DESC LIMIT %s
) AS last GROUP BY activity
"""
_LAST_FEATURES = (
    "SELECT device_id, features FROM queue_items WHERE features_version = %s ORDER BY queued_at DESC LIMIT %s"
)


def labels_so_far(connection: Connection) -> int:
    """Windows that somebody gave a label that stands."""
    with connection.cursor() as cursor:
        cursor.execute(_LABELS)
        return int(cursor.fetchone()[0])


def items_near(
    connection: Connection, device_id: Sequence[str], window_start_us: Sequence[int], within_us: int
) -> list[tuple[str, int]]:
    """(device_id, window_start_us) of items within so long of any of these windows of the same watch."""
    with connection.cursor() as cursor:
        cursor.execute(
            _NEAR,
            {
                "devices": list(device_id),
                "starts": [int(us) for us in window_start_us],
                "within": int(within_us),
            },
        )
        return [(device, int(us)) for device, us in cursor.fetchall()]


def items_of(connection: Connection, device_id: Sequence[str]) -> dict[str, int]:
    """How many items each of these watches ever had."""
    with connection.cursor() as cursor:
        cursor.execute(_OF_DEVICE, (sorted(set(device_id)),))
        return dict(cursor.fetchall())


def items_by_activity(connection: Connection, count: int = 1000) -> dict[str, int]:
    """How many of the last items were predicted as each activity."""
    with connection.cursor() as cursor:
        cursor.execute(_OF_ACTIVITY, (count,))
        return dict(cursor.fetchall())


def last_features(
    connection: Connection, features_version: str, count: int
) -> tuple[list[str], list[np.ndarray]]:
    """Watches and features, float32 (n_features,) each, of the last items, the newest first."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_FEATURES, (features_version, count))
        rows = cursor.fetchall()
    return [row[0] for row in rows], [np.array(row[1], np.float32) for row in rows]


_PAST = f"""
SELECT asked.place - 1, seen.earlier, seen.probabilities
FROM unnest(%(devices)s::text[], %(starts)s::bigint[]) WITH ORDINALITY AS asked (device_id, us, place)
CROSS JOIN LATERAL (
    SELECT p.probabilities, round((asked.us - {_US.format("p.window_start")}) / %(length)s::numeric)::integer AS earlier
    FROM predictions p
    WHERE p.device_id = asked.device_id AND p.window_start < {_EPOCH.format("asked.us")}
      AND p.window_start >= {_EPOCH.format("(asked.us - %(windows)s * %(length)s)")}
      AND p.probabilities IS NOT NULL AND p.model_version = %(version)s
      AND mod(asked.us - {_US.format("p.window_start")}, %(length)s) = 0
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
    """Probabilities of the windows before these, float64 (n, windows, labels), oldest first; NaN where there is none
    of this version."""
    found = np.full((len(device_id), windows, labels), np.nan)
    with connection.cursor() as cursor:
        cursor.execute(
            _PAST,
            {
                "devices": list(device_id),
                "starts": [int(us) for us in window_start_us],
                "windows": windows,
                "length": window_us,
                "version": version,
            },
        )
        for place, earlier, probabilities in cursor.fetchall():
            if 1 <= earlier <= windows and len(probabilities) == labels:
                found[place, windows - earlier] = probabilities
    return found


# ---- looking at it -----------------------------------------------------------------------------------------------

_STATE = """
CASE WHEN q.closed_because IS NOT NULL THEN q.closed_because
     WHEN q.expires_at <= clock_timestamp() THEN 'expired'
     WHEN EXISTS (SELECT FROM leases l WHERE l.item_id = q.item_id AND l.expires_at > clock_timestamp())
         THEN 'leased'
     ELSE 'waiting' END AS state
"""
_SHOWN = f"""
q.item_id, q.device_id, q.window_start, q.window_end, q.stratum, q.reason, q.doubt, q.propensity, q.required_labels,
q.activity, q.kcal_per_min, q.model_version, q.queued_at, q.expires_at, {_STATE}
"""
_LIST = f"""
SELECT {_SHOWN} FROM queue_items q
WHERE (%(closed)s OR (q.closed_at IS NULL AND q.expires_at > clock_timestamp()))
  AND (%(stratum)s::text IS NULL OR q.stratum = %(stratum)s) AND (%(device)s::text IS NULL OR q.device_id = %(device)s)
ORDER BY q.queued_at DESC, q.item_id DESC LIMIT %(limit)s
"""


def list_items(
    connection: Connection,
    *,
    stratum: str | None = None,
    device_id: str | None = None,
    closed: bool = False,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Items, the newest first, without readings and features; those that wait alone unless `closed`."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(_LIST, {"closed": closed, "stratum": stratum, "device": device_id, "limit": limit})
        return [dict(row) for row in cursor.fetchall()]


_EXPLAIN = f"""
SELECT {_SHOWN}, q.doubts, q.decision, q.conformal_set, q.probabilities, q.closed_at, q.energy_version,
       q.features_version, octet_length(q.readings) AS readings_bytes,
       (SELECT v.labels FROM model_versions v WHERE v.version = q.model_version
          AND cardinality(v.labels) = cardinality(q.probabilities)
        ORDER BY v.registered_at DESC LIMIT 1) AS labels
FROM queue_items q
WHERE q.device_id = %(device)s AND q.window_start <= %(at)s AND %(at)s < q.window_end
ORDER BY q.window_start DESC LIMIT 1
"""
_ANSWERS = """
SELECT annotator, answer, label, created_at FROM annotations_in_force
WHERE device_id = %s AND window_start = %s ORDER BY annotation_id
"""
_PREDICTION = """
SELECT device_id, window_start, window_end, activity, confidence, coverage, reason, model_version, processed_at
FROM predictions WHERE device_id = %(device)s AND window_start <= %(at)s AND %(at)s < window_end
ORDER BY window_start DESC LIMIT 1
"""


def explain(connection: Connection, device_id: str, window_start: datetime) -> dict[str, Any]:
    """Why a window was queued, or as much as can be said of why it was not.

    window_start : any time within the window. `queued` says which it is. Queued: the item with its decision, the
    audit period's rate where it is of the audit, and the answers so far. Not queued: the prediction. Raises
    DataError where the store knows of no such window.
    """
    at = window_start if window_start.tzinfo else window_start.replace(tzinfo=UTC)
    asked = {"device": device_id, "at": at}
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(_EXPLAIN, asked)
        item = cursor.fetchone()
        if item is not None:
            cursor.execute(_ANSWERS, (item["device_id"], item["window_start"]))
            return {"queued": True, **item, "answers": [dict(row) for row in cursor.fetchall()]}
        cursor.execute(_PREDICTION, asked)
        prediction = cursor.fetchone()
    if prediction is None:
        raise DataError(
            f"there is no window of {device_id} at {at:%Y-%m-%d %H:%M:%S} UTC; "
            "`activity queue list` shows the items that wait"
        )
    return {"queued": False, **prediction}


@dataclass(frozen=True)
class QueueStats:
    """The queue in numbers. by_stratum : stratum -> {waiting, answered, expired, withdrawn, last_hour}"""

    waiting: int
    leased: int
    people: int  # watches with an item, ever
    labels: int
    oldest_waiting: datetime | None
    last_queued: datetime | None
    overlap: int
    audit_drawn: int
    audit_lost: int
    audit_tokens: float | None
    chosen_tokens: float | None
    audit_rate: float | None
    audit_until: datetime | None
    windows_per_hour: float | None
    by_stratum: dict[str, dict[str, int]]


_COUNTS = """
SELECT stratum,
       count(*) FILTER (WHERE closed_at IS NULL AND expires_at > clock_timestamp()) AS waiting,
       count(*) FILTER (WHERE closed_because = 'answered') AS answered,
       count(*) FILTER (WHERE closed_because = 'expired'
                        OR (closed_at IS NULL AND expires_at <= clock_timestamp())) AS expired,
       count(*) FILTER (WHERE closed_because = 'withdrawn') AS withdrawn,
       count(*) FILTER (WHERE queued_at > clock_timestamp() - interval '1 hour') AS last_hour
FROM queue_items GROUP BY stratum ORDER BY stratum
"""
_TOTALS = """
SELECT (SELECT count(DISTINCT item_id) FROM leases WHERE expires_at > clock_timestamp()) AS leased,
       count(DISTINCT device_id) AS people, max(queued_at) AS last_queued,
       min(queued_at) FILTER (WHERE closed_at IS NULL AND expires_at > clock_timestamp()) AS oldest_waiting,
       count(*) FILTER (WHERE required_labels > 1) AS overlap
FROM queue_items
"""
_ACCOUNT = f"""
SELECT audit, chosen, {_US.format("as_of")} AS as_of, {_US.format("clock_timestamp()")} AS now, audit_drawn, audit_lost
FROM queue_budget
"""


def stats(connection: Connection, rules: Rules | None = None) -> QueueStats:
    """The queue in numbers; with `rules` the budget is refilled to now."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(_COUNTS)
        strata = {row.pop("stratum"): dict(row) for row in cursor.fetchall()}
        cursor.execute(_TOTALS)
        totals = cursor.fetchone()
        cursor.execute(_ACCOUNT)
        account = cursor.fetchone()
        cursor.execute(
            "SELECT rate, until_at, windows_per_hour FROM audit_periods ORDER BY from_at DESC LIMIT 1"
        )
        period = cursor.fetchone()
    budget = account and Budget(account["audit"], account["chosen"], account["as_of"])
    if budget and rules:
        budget = budget.at(account["now"], rules)
    return QueueStats(
        waiting=sum(row["waiting"] for row in strata.values()),
        leased=totals["leased"],
        people=totals["people"],
        labels=labels_so_far(connection),
        oldest_waiting=totals["oldest_waiting"],
        last_queued=totals["last_queued"],
        overlap=totals["overlap"],
        audit_drawn=account["audit_drawn"] if account else 0,
        audit_lost=account["audit_lost"] if account else 0,
        audit_tokens=budget.audit if budget else None,
        chosen_tokens=budget.chosen if budget else None,
        audit_rate=period["rate"] if period else None,
        audit_until=period["until_at"] if period else None,
        windows_per_hour=period["windows_per_hour"] if period else None,
        by_stratum=strata,
    )


_EXPIRE = """
UPDATE queue_items q SET closed_at = clock_timestamp(), closed_because = 'expired'
WHERE q.closed_at IS NULL AND q.expires_at <= clock_timestamp()
  AND NOT EXISTS (SELECT FROM leases l WHERE l.item_id = q.item_id AND l.expires_at > clock_timestamp())
"""


def expire(connection: Connection) -> int:
    """Close items that nobody answered in time, but for those somebody holds just now; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRE)
        return int(cursor.rowcount)
