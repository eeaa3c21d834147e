"""Review: windows with a disputed or flagged label, their votes, and the reviewer's decision about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from activitymodule.errors import AlreadyDecidedError
from activitymodule.store.answers import Answer, add_annotation, settle, undo_annotations
from activitymodule.store.connection import Connection
from activitymodule.store.items import lock_item
from activitymodule.store.labels import clean_label
from activitymodule.store.locks import UNDOING
from activitymodule.store.queries import execute, fetch_all, fetch_row


@dataclass(frozen=True)
class Vote:
    """One annotator's current answer about a window."""

    annotator: str
    answer: Answer
    label: str | None
    note: str | None
    seconds: float | None
    created_at: datetime


@dataclass(frozen=True)
class Case:
    """A window that waits for a reviewer, and why."""

    item_id: int
    why: Literal["disputed", "flagged", "suspicious"]
    at: datetime


@dataclass(frozen=True)
class Decision:
    """A reviewer's decision in force. label : None: the activity cannot be determined"""

    number: int
    reviewer: str
    label: str | None
    created_at: datetime


_CASES = """
SELECT q.item_id, w.why, w.at
FROM (
    SELECT device_id, window_start, 'disputed' AS why, answered_at AS at FROM gold_labels WHERE disputed
    UNION ALL
    SELECT device_id, window_start, 'flagged', max(created_at) FROM annotations_in_force
    WHERE answer = 'flag' AND NOT adjudicates GROUP BY 1, 2
) AS w
JOIN queue_items q USING (device_id, window_start)
WHERE NOT EXISTS (SELECT FROM annotations_in_force r WHERE r.device_id = w.device_id
                  AND r.window_start = w.window_start AND r.adjudicates AND r.created_at >= w.at)
ORDER BY w.at, q.item_id
"""
_VOTES = """
SELECT a.annotator, a.answer, a.label, a.note, a.seconds, a.created_at
FROM annotations_in_force a JOIN queue_items q USING (device_id, window_start)
WHERE q.item_id = %s AND NOT a.adjudicates ORDER BY a.annotation_id
"""
_DECISION = """
SELECT a.annotation_id, a.annotator, a.label, a.created_at FROM annotations_in_force a
JOIN queue_items q USING (device_id, window_start)
WHERE q.item_id = %s AND a.adjudicates ORDER BY a.annotation_id DESC LIMIT 1
"""
_LAST_ADJUDICATION = """
SELECT annotation_id, item_id FROM annotations_not_undone
WHERE annotator = %s AND adjudicates AND item_id IS NOT NULL AND created_at > clock_timestamp() - interval '1 day'
ORDER BY annotation_id DESC LIMIT 1
"""


def cases(connection: Connection) -> list[Case]:
    """Disputed and flagged windows without a later adjudication, the oldest first; each once."""
    found: dict[int, Case] = {}
    for row in fetch_all(connection, _CASES):
        found.setdefault(row[0], Case(*row))
    return list(found.values())


def votes(connection: Connection, item_id: int) -> list[Vote]:
    """The votes about an item's window, in the order they were given; adjudications left out."""
    return [Vote(*row) for row in fetch_all(connection, _VOTES, (item_id,))]


def decision(connection: Connection, item_id: int) -> Decision | None:
    """The latest decision in force about an item's window, or None."""
    row = fetch_row(connection, _DECISION, (item_id,))
    return None if row is None else Decision(*row)


def adjudicate(
    connection: Connection,
    item_id: int,
    reviewer: str,
    label: str | None,
    *,
    seen: int | None = None,
    minutes: float,
    note: str | None = None,
    seconds: float | None = None,
) -> int:
    """Add a reviewer's decision, which overrides all votes; the number of its row.

    label : None: the activity cannot be determined, and the item is withdrawn
    seen : number of the decision that the reviewer was shown, None for none

    Raises AlreadyDecidedError where another one is in force by now.
    """
    if label is not None:
        label = clean_label(connection, label)
    lock_item(connection, item_id)
    there = decision(connection, item_id)
    if there is not None and there.number != seen:
        raise AlreadyDecidedError(
            f"{there.reviewer} has decided {there.label or 'that it cannot be determined'} meanwhile; nothing was "
            "saved, decide again if you differ"
        )
    number = add_annotation(
        connection,
        item_id,
        reviewer,
        "label" if label is not None else "skip",
        label,
        origin="review",
        seconds=seconds,
        note=note,
        adjudicates=True,
    )
    execute(connection, "DELETE FROM leases WHERE item_id = %s", (item_id,))
    settle(connection, item_id, minutes)
    return number


def undo_adjudication(connection: Connection, reviewer: str, minutes: float) -> int | None:
    """Undo the reviewer's last decision of the last 24 hours; returns its item, or None."""
    execute(connection, UNDOING, (reviewer,))
    row = fetch_row(connection, _LAST_ADJUDICATION, (reviewer,))
    if row is None:
        return None
    number, item_id = row
    lock_item(connection, item_id)
    undo_annotations(connection, [number])
    settle(connection, item_id, minutes)
    return int(item_id)
