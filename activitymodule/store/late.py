"""Windows with readings later than the watermark, until they are scored from the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress

import numpy as np
import pyarrow as pa
from psycopg2.extras import execute_values

from activitymodule.store.connection import Connection
from activitymodule.store.participants import excluded
from activitymodule.store.queries import execute, fetch_all, fetch_value
from activitymodule.store.times import AS_TIME, AS_US
from activitymodule.windows.late import LateWindow

_US = AS_TIME.format("%s")
_NOTE = """
INSERT INTO late_windows (topic, device_id, window_start, window_end, arrived_from, arrived_until) VALUES %s
ON CONFLICT (topic, device_id, window_start) DO UPDATE SET
    arrived_from = least(late_windows.arrived_from, excluded.arrived_from),
    arrived_until = greatest(late_windows.arrived_until, excluded.arrived_until),
    noticed_at = excluded.noticed_at
"""
# What a batch noticed is archived once all offsets of the batch are. The archive is a minute behind.
_ARCHIVED = """
SELECT (
    SELECT coalesce(b.written_at, b.finished_at) FROM batches AS b, archive_state AS a
    WHERE a.topic = %(topic)s AND b.topic = a.topic AND coalesce(b.written_at, b.finished_at) IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM jsonb_each(b.offsets) AS part (number, range)
          WHERE (range ->> 1)::bigint > coalesce((a.offsets ->> number)::bigint, 0))
    ORDER BY b.started_at DESC LIMIT 1)
"""
_TAKE = f"""
SELECT l.device_id, {AS_US.format("l.window_start")}, {AS_US.format("l.window_end")}, {AS_US.format("l.arrived_from")},
       {AS_US.format("l.arrived_until")}, {AS_US.format("stored.received_at")}, l.noticed_at
FROM (
    SELECT * FROM late_windows WHERE topic = %(topic)s AND noticed_at <= %(until)s
    ORDER BY noticed_at LIMIT %(limit)s
) AS l LEFT JOIN LATERAL (
    SELECT received_at FROM predictions AS p
    WHERE p.device_id = l.device_id AND p.window_start = l.window_start
    LIMIT 1
) AS stored ON true
"""
_FORGET = """
DELETE FROM late_windows AS l
USING unnest(%s::text[], %s::bigint[], %s::timestamptz[]) AS done (device_id, window_us, noticed_at)
WHERE l.topic = %s AND l.device_id = done.device_id AND l.noticed_at = done.noticed_at
  AND l.window_start = timestamptz 'epoch' + done.window_us * interval '1 microsecond'
"""


@dataclass(frozen=True)
class Waiting:
    """A late window that waits. received_us : when the newest reading of the stored row came; None: there is no row"""

    window: LateWindow
    received_us: int | None
    noticed_at: datetime

    def arrivals(self, ahead_us: int) -> list[tuple[int, int]]:
        """When readings of the window reached Kafka: (from, until), UTC microseconds, both included.

        ahead_us : how far a stamp may be ahead of its arrival
        """
        late = (self.window.arrived_from_us, self.window.arrived_until_us)
        first = self.window.window_us - ahead_us
        return [late] if self.received_us is None else [late, (first, max(first, self.received_us))]


def note_late(connection: Connection, topic: str, windows: Sequence[LateWindow]) -> None:
    """Note late windows but those of excluded times, in the caller's transaction.

    windows : sorted, so that two tasks lock rows in the same order
    """
    rows = [(topic, *one) for one in windows]
    if shut := excluded(connection):
        devices = pa.array([one.device_id for one in windows])
        length_us = max(one.end_us - one.window_us for one in windows)
        gone = shut.rows(devices, np.array([one.window_us for one in windows], np.int64), length_us)
        rows = list(compress(rows, ~gone))
    if not rows:
        return
    with connection.cursor() as cursor:
        execute_values(cursor, _NOTE, rows, template=f"(%s, %s, {_US}, {_US}, {_US}, {_US})", page_size=1000)


def waiting_late(connection: Connection, topic: str, limit: int) -> list[Waiting]:
    """Late windows all of whose readings are in the archive, those first that were noticed first."""
    until = fetch_value(connection, _ARCHIVED, {"topic": topic})
    rows = fetch_all(connection, _TAKE, {"topic": topic, "until": until, "limit": limit})
    return [Waiting(LateWindow(*row[:5]), row[5], row[6]) for row in rows]


def forget_late(connection: Connection, topic: str, done: Sequence[Waiting]) -> int:
    """Delete windows that are scored, but for those that were noticed again meanwhile; how many were deleted."""
    columns = (
        [one.window.device_id for one in done],
        [one.window.window_us for one in done],
        [one.noticed_at for one in done],
    )
    return execute(connection, _FORGET, (*columns, topic))
