"""The smoothed activity, by the store's own function (sql/migrations/versions/0002_smoothing.sql)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from activitymodule.settings import Scoring
from activitymodule.store.connection import Connection
from activitymodule.store.predictions import WRITING_LOCK

_KEYS_OF_BATCH = """
SELECT array_agg(device_id), array_agg(window_start)
FROM (
    SELECT device_id, window_start,
           (row_number() OVER (ORDER BY device_id, window_start) - 1) / %(share)s AS part
    FROM predictions
    WHERE batch_id = %(batch_id)s AND processed_at >= coalesce(%(since)s, (
        SELECT started_at FROM batches WHERE batch_id = %(batch_id)s ORDER BY started_at DESC LIMIT 1
    ), '-infinity')
) AS rows
GROUP BY part ORDER BY part
"""
# Writers hold it together, smoothing alone: both change rows, in other orders, and would lock each other out.
_ALONE = f"SELECT pg_advisory_xact_lock({WRITING_LOCK})"
_SHARE = 20_000  # windows a statement; consecutive ones of a watch share their work

_REFRESH = "SELECT refresh_smoothed(%s::text[], %s::timestamptz[], %s, %s)"
_REFRESH_US = """
SELECT refresh_smoothed(
    %s::text[],
    array(SELECT timestamptz 'epoch' + us * interval '1 microsecond'
          FROM unnest(%s::bigint[]) WITH ORDINALITY AS starts (us, place) ORDER BY place),
    %s, %s)
"""


def refresh_smoothed(
    connection: Connection, *, batch_id: int, scoring: Scoring, since: datetime | None = None
) -> int:
    """Smooth the windows that a batch wrote and those that look back at them; returns how many rows changed.

    `since` is when the writing began, by the store's clock; by default when the newest batch of this number did.
    A pure function of the stored probabilities: calling it again changes nothing.
    """
    changed = 0
    with connection.cursor() as cursor:
        cursor.execute(_ALONE)
        cursor.execute(_KEYS_OF_BATCH, {"batch_id": batch_id, "since": since, "share": _SHARE})
        for devices, starts in cursor.fetchall():
            cursor.execute(_REFRESH, (devices, starts, scoring.smoothing_windows, scoring.smoothing_stay))
            changed += cursor.fetchone()[0]
    return changed


def refresh_smoothed_windows(
    connection: Connection, device_id: Sequence[str], window_start_us: np.ndarray, scoring: Scoring
) -> int:
    """The same for given windows, in the transaction that wrote them: device ids and starts in UTC microseconds,
    shape (n,) each."""
    starts = np.asarray(window_start_us, np.int64).tolist()
    with connection.cursor() as cursor:
        cursor.execute(
            _REFRESH_US, (list(device_id), starts, scoring.smoothing_windows, scoring.smoothing_stay)
        )
        return int(cursor.fetchone()[0])


_UNFINISHED = "SELECT batch_id, started_at FROM batches WHERE topic = %s AND finished_at IS NULL"


def refresh_unfinished(connection: Connection, topic: str, scoring: Scoring) -> int:
    """Smooth what batches wrote that never came to their end; for a scorer that takes up another's work."""
    with connection.cursor() as cursor:
        cursor.execute(_UNFINISHED, (topic,))
        batches = cursor.fetchall()
    return sum(
        refresh_smoothed(connection, batch_id=batch, scoring=scoring, since=started)
        for batch, started in batches
    )
