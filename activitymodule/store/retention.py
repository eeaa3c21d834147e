"""Rows that are no longer needed: which they are, how large they are, and their deletion in portions.

Every portion is a transaction of its own, and a row stands for itself: the next run continues an interrupted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all, fetch_one

PORTION = 10_000


@dataclass(frozen=True)
class OldRows:
    """Rows of `table` (as `t`) that nothing needs once they are old.

    condition : SQL; %(before)s is the moment
    size : SQL, bytes of a row as stored (of columns that may be large, so that they need not be read)
    order : SQL, which are deleted first, so that what an interrupted deletion leaves makes sense
    """

    table: str
    condition: str
    size: str = "pg_column_size(t.*)"
    order: str = "t.ctid"


_LETTER_SIZE = "150 + coalesce(pg_column_size(t.payload), 0)"
DEAD_LETTERS = OldRows("dead_letters", "t.replayed_at IS NULL AND t.noticed_at < %(before)s", _LETTER_SIZE)
REPLAYED = OldRows("dead_letters", "t.replayed_at < %(before)s", _LETTER_SIZE)
# a window with a label is needed by training and by the gate, with its readings, whatever became of the label
QUEUE_ITEMS = OldRows(
    "queue_items",
    """t.closed_at < %(before)s AND NOT EXISTS (
        SELECT FROM annotations a
        WHERE a.device_id = t.device_id AND a.window_start = t.window_start AND a.label IS NOT NULL)""",
    "500 + pg_column_size(t.readings) + pg_column_size(t.features)",
)
DRIFT_ALARMS = OldRows("drift_alarms", "t.over_at < %(before)s")
# the verdicts of the others count at the next one on the same labels (learning/gate)
RUNS = OldRows(
    "retrain_runs",
    """t.finished_at < %(before)s AND t.state IN ('unneeded', 'failed')
       AND t.parameters->'steps'->'gate' IS NULL
       AND NOT EXISTS (SELECT FROM promotions p WHERE p.run_id = t.run_id)""",
)
# The newest of a topic say where its stream resumes. Of the older ones all go, unfinished ones too, oldest first: what
# is left must not seem to have a hole (store/batches.py).
BATCHES = OldRows(
    "batches",
    """t.started_at < %(before)s AND t.started_at < coalesce((
        SELECT n.started_at FROM batches n WHERE n.topic = t.topic ORDER BY n.started_at DESC OFFSET 999 LIMIT 1
    ), '-infinity')""",
    order="t.started_at",
)
# what no topic has got yet is kept, and so is the bout that goes on, which later events refer to
EVENTS = OldRows(
    "activity_events",
    """t.told_at < %(before)s AND t.sequence <= (SELECT min(s.sequence) FROM event_senders s)
       AND NOT (t.in_force AND t.bout_end IS NULL)""",
    order="t.sequence",
)


@dataclass(frozen=True)
class Amount:
    """Rows and their bytes, indexes aside."""

    count: int
    bytes: int


def old_rows(connection: Connection, rows: OldRows, before: datetime) -> Amount:
    """How many rows are no longer needed, and their size as stored."""
    sql = f"SELECT count(*), coalesce(sum({rows.size}), 0)::bigint FROM {rows.table} t WHERE {rows.condition}"
    return Amount(*fetch_one(connection, sql, {"before": before}))


def delete_old_rows(connection: Connection, rows: OldRows, before: datetime) -> int:
    """Delete these rows, PORTION a transaction; returns how many."""
    sql = f"""
        DELETE FROM {rows.table} WHERE ctid = ANY (ARRAY(
            SELECT t.ctid FROM {rows.table} t WHERE {rows.condition} ORDER BY {rows.order} LIMIT {PORTION}))
    """
    deleted = 0
    while count := execute(connection, sql, {"before": before}):
        connection.commit()
        deleted += count
    return deleted


# Those that were replayed first, then the oldest: what is over `most` bytes when counted from the other end.
_OVER = f"""
SELECT place, size FROM (
    SELECT t.ctid AS place, {_LETTER_SIZE} AS size,
           sum({_LETTER_SIZE}) OVER (ORDER BY t.replayed_at IS NOT NULL, t.noticed_at DESC, t.ctid DESC) AS total
    FROM dead_letters t
    -- no sorting where the table as a whole is smaller
    WHERE pg_total_relation_size('dead_letters') > %(most)s
) AS counted WHERE total > %(most)s
"""


def dead_letters_over(connection: Connection, most: int) -> Amount:
    """The dead letters without which the others fit into `most` bytes: replayed ones first, then the oldest."""
    return Amount(
        *fetch_one(
            connection,
            f"SELECT count(*), coalesce(sum(size), 0)::bigint FROM ({_OVER}) AS over",
            {"most": most},
        )
    )


def delete_dead_letters_over(connection: Connection, most: int) -> int:
    """Delete them; returns how many."""
    deleted = execute(
        connection,
        f"DELETE FROM dead_letters WHERE ctid = ANY (ARRAY(SELECT place FROM ({_OVER}) AS over))",
        {"most": most},
    )
    connection.commit()
    return deleted


# ---- snapshots of training sets

_SNAPSHOTS = """
SELECT s.snapshot_id, s.place FROM snapshots s
WHERE s.made_at < %(before)s AND NOT EXISTS (
    SELECT FROM retrain_runs r
    WHERE r.snapshot_id = s.snapshot_id
      AND (r.challenger IS NOT NULL OR r.state IN ('running', 'waiting') OR r.started_at >= %(before)s))
ORDER BY s.made_at
"""


def unused_snapshots(connection: Connection, before: datetime) -> list[str]:
    """Ids of training sets that no model version was trained on, oldest first."""
    return [row[0] for row in fetch_all(connection, _SNAPSHOTS, {"before": before})]


def forget_snapshot(connection: Connection, snapshot_id: str) -> None:
    """Delete the record of a snapshot whose files are gone."""
    execute(connection, "UPDATE retrain_runs SET snapshot_id = NULL WHERE snapshot_id = %s", (snapshot_id,))
    execute(connection, "DELETE FROM snapshots WHERE snapshot_id = %s", (snapshot_id,))
    connection.commit()
