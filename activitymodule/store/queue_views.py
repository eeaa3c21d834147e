"""The annotation queue as people look at it: lists, counts, and why a window was selected or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

from activitymodule.errors import DataError
from activitymodule.learning.policy import Budget, Rules
from activitymodule.store.connection import Connection
from activitymodule.store.queries import fetch_all, fetch_one, fetch_row
from activitymodule.store.queue import labels_so_far
from activitymodule.store.times import AS_US

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


@dataclass(frozen=True)
class ListedItem:
    """A queue item without readings and features. state : waiting, leased, answered, expired or withdrawn"""

    item_id: int
    device_id: str
    window_start: datetime
    window_end: datetime
    stratum: str
    reason: str
    doubt: float | None
    propensity: float
    required_labels: int
    activity: str
    kcal_per_min: float | None
    model_version: str
    queued_at: datetime
    expires_at: datetime
    state: str


def list_items(
    connection: Connection,
    *,
    stratum: str | None = None,
    device_id: str | None = None,
    closed: bool = False,
    limit: int = 50,
) -> list[ListedItem]:
    """Items, the newest first; only those that wait unless `closed`."""
    values = {"closed": closed, "stratum": stratum, "device": device_id, "limit": limit}
    return [ListedItem(*row) for row in fetch_all(connection, _LIST, values)]


# ---- why


@dataclass(frozen=True)
class GivenAnswer:
    """An answer in force about a window."""

    annotator: str
    answer: str
    label: str | None
    created_at: datetime


@dataclass(frozen=True)
class QueuedWindow(ListedItem):
    """A queued window with the policy's decision about it, and its answers."""

    doubts: Mapping[str, float | None]  # by measure
    decision: Mapping[str, Any]  # the inputs of the policy; free-form, as each stratum needs
    conformal_set: tuple[str, ...]
    probabilities: tuple[float, ...]
    closed_at: datetime | None
    energy_version: str | None
    features_version: str
    readings_bytes: int
    labels: tuple[str, ...] | None  # of the probabilities; None where the version is unknown
    answers: tuple[GivenAnswer, ...]
    queued: Literal[True] = True


@dataclass(frozen=True)
class UnqueuedWindow:
    """A stored window that was not queued."""

    device_id: str
    window_start: datetime
    window_end: datetime
    activity: str | None
    confidence: float | None
    coverage: float
    reason: str | None
    model_version: str | None
    processed_at: datetime
    queued: Literal[False] = False


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


def explain(connection: Connection, device_id: str, at: datetime) -> QueuedWindow | UnqueuedWindow:
    """Why the window around a time was queued, or what is known of one that was not.

    at : any time within the window. Raises DataError where the store has no such window.
    """
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    values = {"device": device_id, "at": at}
    row = fetch_row(connection, _EXPLAIN, values)
    if row is not None:
        item = dict(zip((field.name for field in fields(QueuedWindow)), row, strict=False))
        answers = fetch_all(connection, _ANSWERS, (item["device_id"], item["window_start"]))
        for name in ("conformal_set", "probabilities", "labels"):
            item[name] = None if item[name] is None else tuple(item[name])
        return QueuedWindow(**item, answers=tuple(GivenAnswer(*answer) for answer in answers))
    row = fetch_row(connection, _PREDICTION, values)
    if row is None:
        raise DataError(
            f"there is no window of {device_id} at {at:%Y-%m-%d %H:%M:%S} UTC; "
            "`activity queue list` shows the items that wait"
        )
    return UnqueuedWindow(*row)


# ---- counts


@dataclass(frozen=True)
class StratumCounts:
    """The items of one stratum, by state; last_hour : queued in the last hour"""

    waiting: int
    answered: int
    expired: int
    withdrawn: int
    last_hour: int


@dataclass(frozen=True)
class QueueStats:
    """The queue in numbers."""

    waiting: int
    leased: int
    people: int  # watches that ever had an item
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
    by_stratum: dict[str, StratumCounts]


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
       count(DISTINCT device_id) AS people,
       min(queued_at) FILTER (WHERE closed_at IS NULL AND expires_at > clock_timestamp()) AS oldest_waiting,
       max(queued_at) AS last_queued, count(*) FILTER (WHERE required_labels > 1) AS overlap
FROM queue_items
"""
_ACCOUNT = f"""
SELECT audit_drawn, audit_lost, audit, chosen, {AS_US.format("as_of")}, {AS_US.format("clock_timestamp()")}
FROM queue_budget
"""
_PERIOD = "SELECT rate, until_at, windows_per_hour FROM audit_periods ORDER BY from_at DESC LIMIT 1"


def stats(connection: Connection, rules: Rules | None = None) -> QueueStats:
    """The queue in numbers; with `rules` the budget is refilled to now."""
    strata = {row[0]: StratumCounts(*row[1:]) for row in fetch_all(connection, _COUNTS)}
    leased, people, oldest_waiting, last_queued, overlap = fetch_one(connection, _TOTALS)
    drawn = lost = 0
    budget: Budget | None = None
    if account := fetch_row(connection, _ACCOUNT):
        drawn, lost, audit, chosen, as_of, now = account
        budget = Budget(audit, chosen, as_of)
        budget = budget.at(now, rules) if rules else budget
    rate, until, windows_per_hour = fetch_row(connection, _PERIOD) or (None, None, None)
    return QueueStats(
        waiting=sum(counts.waiting for counts in strata.values()),
        leased=leased,
        people=people,
        labels=labels_so_far(connection),
        oldest_waiting=oldest_waiting,
        last_queued=last_queued,
        overlap=overlap,
        audit_drawn=drawn,
        audit_lost=lost,
        audit_tokens=budget.audit if budget else None,
        chosen_tokens=budget.chosen if budget else None,
        audit_rate=rate,
        audit_until=until,
        windows_per_hour=windows_per_hour,
        by_stratum=strata,
    )
