"""Predictions as an evaluation reads them: to compare with the truth, or in total over a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from activitymodule.models.evaluation.against_truth import WINDOW_SCHEMA
from activitymodule.store.connection import Connection
from activitymodule.store.queries import fetch_all, fetch_one, fetch_value

_WINDOWS = """
SELECT device_id, (extract(epoch FROM window_start) * 1000000)::bigint,
       (extract(epoch FROM window_end) * 1000000)::bigint, activity, smoothed_activity, kcal_per_min,
       confidence, conformal_set
FROM predictions
WHERE window_start >= %(first)s AND window_start <= %(last)s AND coverage >= %(coverage)s
  AND (%(device)s IS NULL OR device_id = %(device)s)
"""
_TOTALS = """
SELECT count(*), count(DISTINCT device_id), count(activity), coalesce(sum(readings_used), 0),
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
           ORDER BY extract(epoch FROM processed_at - received_at)::double precision)
           FILTER (WHERE coverage >= 0.99),
       (SELECT count(*) FROM dead_letters WHERE noticed_at >= %(begin)s)
FROM predictions WHERE processed_at >= %(begin)s
"""
_SERVED = "SELECT EXISTS (SELECT FROM predictions WHERE model_version = %s)"


def predicted_windows(
    connection: Connection,
    first: datetime,
    last: datetime,
    *,
    coverage: float = 0.0,
    device: str | None = None,
) -> pa.Table:
    """Predicted windows that start in [first, last], as against_truth.WINDOW_SCHEMA."""
    values = {"first": first, "last": last, "coverage": coverage, "device": device}
    rows = fetch_all(connection, _WINDOWS, values)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(WINDOW_SCHEMA)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, WINDOW_SCHEMA, strict=True)],
        schema=WINDOW_SCHEMA,
    )


def has_predictions_of(connection: Connection, version: str) -> bool:
    """Whether a version of the classifier has scored any window."""
    return bool(fetch_value(connection, _SERVED, (version,)))


@dataclass(frozen=True)
class Totals:
    """Rows written since a moment. Latency: from the arrival of a window's last reading to its row, of windows with
    (almost) all their readings; None without one."""

    windows: int
    windows_with_activity: int
    watches: int
    readings_used: int
    dead_letters: int
    latency_p50_seconds: float | None
    latency_p95_seconds: float | None


def totals_since(connection: Connection, begin: datetime) -> Totals:
    """Predictions and dead letters that were written since `begin`."""
    windows, watches, scored, readings, latency, dead = fetch_one(connection, _TOTALS, {"begin": begin})
    p50, p95 = (round(one, 3) for one in latency) if latency else (None, None)
    return Totals(windows, scored, watches, int(readings), dead, p50, p95)
