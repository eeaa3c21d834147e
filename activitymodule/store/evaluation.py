"""The predictions that an evaluation compares with the truth."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from activitymodule.models.evaluation.against_truth import WINDOW_SCHEMA
from activitymodule.store.connection import Connection
from activitymodule.store.queries import fetch_all, fetch_value

_WINDOWS = """
SELECT device_id, (extract(epoch FROM window_start) * 1000000)::bigint,
       (extract(epoch FROM window_end) * 1000000)::bigint, activity, smoothed_activity, kcal_per_min
FROM predictions
WHERE window_start >= %(first)s AND window_start <= %(last)s AND coverage >= %(coverage)s
  AND (%(device)s IS NULL OR device_id = %(device)s)
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
