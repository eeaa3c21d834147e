"""The smoothed activity, by the store's own function (sql/migrations/versions/0002_smoothing.sql)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from activitymodule.settings import Scoring
from activitymodule.store.connection import Connection
from activitymodule.store.locks import WRITING_PREDICTIONS
from activitymodule.store.queries import execute, fetch_all, fetch_value
from activitymodule.store.telling import Teller

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
_ALONE = f"SELECT pg_advisory_xact_lock({WRITING_PREDICTIONS})"
_SHARE = 20_000  # windows a statement; consecutive ones of a watch share their work

# Without statistics of the rows that a batch just wrote to a new day, each look-up would read along the time.
_ANALYSE = "SELECT analyse_new_prediction_days()"
_REFRESH = "SELECT refresh_smoothed(%s::text[], %s::timestamptz[], %s, %s)"
_REFRESH_US = """
SELECT refresh_smoothed(
    %s::text[],
    array(SELECT timestamptz 'epoch' + us * interval '1 microsecond'
          FROM unnest(%s::bigint[]) WITH ORDINALITY AS starts (us, place) ORDER BY place),
    %s, %s)
"""


def refresh_smoothed(
    connection: Connection,
    *,
    batch_id: int,
    scoring: Scoring,
    since: datetime | None = None,
    teller: Teller | None = None,
) -> int:
    """Smooth the windows that a batch wrote and later windows that include them; returns how many rows changed.

    since : when the writing began, by the store's clock; by default when the newest batch of this number began.
    teller : writes the activity events of these windows, too, in this transaction.
    The result is a pure function of the stored probabilities: calling it again changes nothing.
    """
    changed = 0
    execute(connection, _ALONE)
    execute(connection, _ANALYSE)
    if teller is not None:
        teller.begin()
    keys = {"batch_id": batch_id, "since": since, "share": _SHARE}
    for devices, starts in fetch_all(connection, _KEYS_OF_BATCH, keys):
        values = (devices, starts, scoring.smoothing_windows, scoring.smoothing_stay)
        changed += fetch_value(connection, _REFRESH, values)
        if teller is not None:
            teller.note(devices, starts)
    if teller is not None:
        teller.tell(connection, scoring.smoothing_windows)
    return changed


def refresh_smoothed_windows(
    connection: Connection, device_id: Sequence[str], window_start_us: np.ndarray, scoring: Scoring
) -> int:
    """Smooth these windows and later ones that include them, in the transaction that wrote them.

    device_id, window_start_us : (n,), UTC microseconds. Returns how many rows changed.
    """
    starts = np.asarray(window_start_us, np.int64).tolist()
    values = (list(device_id), starts, scoring.smoothing_windows, scoring.smoothing_stay)
    execute(connection, _ANALYSE)
    return int(fetch_value(connection, _REFRESH_US, values))


_UNFINISHED = "SELECT batch_id, started_at FROM batches WHERE topic = %s AND finished_at IS NULL"
# All rows of a batch are there once it is marked as written, or once the next one of its query has begun.
_FINISH_WRITTEN = """
UPDATE batches SET finished_at = clock_timestamp()
WHERE topic = %s AND finished_at IS NULL AND (written_at IS NOT NULL OR EXISTS (
    SELECT FROM batches AS later WHERE later.query_id = batches.query_id AND later.batch_id > batches.batch_id))
"""


def refresh_unfinished(
    connection: Connection, topic: str, scoring: Scoring, teller: Teller | None = None
) -> int:
    """Smooth the windows of batches that never finished, for a scorer that continues after another was killed.

    Those whose rows are all there are finished by it; returns how many rows changed.
    """
    changed = sum(
        refresh_smoothed(connection, batch_id=batch, scoring=scoring, since=started, teller=teller)
        for batch, started in fetch_all(connection, _UNFINISHED, (topic,))
    )
    execute(connection, _FINISH_WRITTEN, (topic,))
    return changed
