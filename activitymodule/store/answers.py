"""Answers of annotators: add one, undo the last, and close the item when it has the labels it needs.

`annotations` is append-only: an answer is undone by a row that refers to it, and whether an item is open follows from
the answers that are not undone (`settle`). Everything happens in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from activitymodule.errors import (
    AlreadyAnsweredError,
    AuditItemError,
    DataError,
    ItemClosedError,
    ItemHeldError,
    RefusedError,
)
from activitymodule.learning.strata import AUDIT
from activitymodule.store.connection import Connection
from activitymodule.store.items import lock_item, missing_item
from activitymodule.store.labels import clean_label
from activitymodule.store.leases import lease_if_free, standing
from activitymodule.store.locks import UNDOING
from activitymodule.store.queries import execute, fetch_one, fetch_row, fetch_value
from activitymodule.text import clean_note

Answer = Literal["label", "skip", "unsure", "flag"]
Origin = Literal["console", "bulk", "import", "oracle", "review"]

UNDO_STEPS = 10  # how far back an annotator may undo answers
DECLINES_TO_WITHDRAW = 3  # so many annotators without a label: the activity cannot be determined

_ADD = """
INSERT INTO annotations (item_id, device_id, window_start, window_end, annotator, answer, label, adjudicates,
    origin, seconds, model_version, suggested, model_hidden, note, created_at, stratum)
SELECT q.item_id, q.device_id, q.window_start, q.window_end, %(annotator)s, %(answer)s, %(label)s,
    %(adjudicates)s, %(origin)s, %(seconds)s, q.model_version, q.activity, %(model_hidden)s, %(note)s,
    coalesce(%(at)s, clock_timestamp()), q.stratum
FROM queue_items q WHERE q.item_id = %(item_id)s
RETURNING annotation_id
"""
_UNDO = """
INSERT INTO annotations (item_id, device_id, window_start, window_end, annotator, answer, undoes, adjudicates, origin)
SELECT item_id, device_id, window_start, window_end, annotator, 'undo', annotation_id, adjudicates, origin
FROM annotations WHERE annotation_id = ANY (%s) ORDER BY annotation_id
"""
_SETTLE = f"""
WITH latest AS (
    SELECT DISTINCT ON (a.annotator, a.adjudicates) a.annotator, a.answer, a.adjudicates
    FROM annotations_not_undone a WHERE a.item_id = %(item_id)s
    ORDER BY a.annotator, a.adjudicates, a.annotation_id DESC
), counted AS (
    SELECT count(*) FILTER (WHERE answer = 'label' AND NOT adjudicates) AS labels,
           count(*) FILTER (WHERE answer <> 'label' AND NOT adjudicates) AS declines,
           coalesce(bool_or(adjudicates AND answer = 'label'), false) AS decided,
           coalesce(bool_or(adjudicates AND answer <> 'label'), false) AS dismissed
    FROM latest
), due AS (
    SELECT CASE WHEN decided OR labels >= q.required_labels THEN 'answered'
                WHEN dismissed OR declines >= {DECLINES_TO_WITHDRAW} THEN 'withdrawn' END AS because
    FROM counted, queue_items q WHERE q.item_id = %(item_id)s
)
UPDATE queue_items q SET
    closed_because = due.because,
    closed_at = CASE WHEN due.because IS NOT NULL THEN coalesce(q.closed_at, clock_timestamp()) END,
    -- an item that opens again stays open for at least the time of a lease
    expires_at = CASE WHEN due.because IS NULL
                      THEN greatest(q.expires_at, clock_timestamp() + make_interval(secs => %(seconds)s))
                      ELSE q.expires_at END
FROM due
WHERE q.item_id = %(item_id)s AND q.closed_because IS DISTINCT FROM due.because
  AND NOT (due.because IS NULL AND q.closed_because = 'expired')
"""


def add_annotation(
    connection: Connection,
    item_id: int,
    annotator: str,
    kind: Answer,
    label: str | None,
    *,
    origin: Origin,
    seconds: float | None = None,
    model_hidden: bool | None = None,
    note: str | None = None,
    at: datetime | None = None,
    adjudicates: bool = False,
) -> int:
    """Append an answer about an item, whatever its state; the number of its row.

    seconds : from the display to the answer; out of [0, 1 day) a clock was changed, and it is stored as unknown
    """
    if seconds is not None and not 0 <= seconds < 86_400:
        seconds = None
    values = {
        "item_id": item_id,
        "annotator": annotator,
        "answer": kind,
        "label": label,
        "origin": origin,
        "seconds": seconds,
        "model_hidden": model_hidden,
        "note": clean_note(note),
        "at": at,
        "adjudicates": adjudicates,
    }
    return int(fetch_value(connection, _ADD, values))


def undo_annotations(connection: Connection, numbers: Sequence[int]) -> None:
    """Append a row that undoes each of these rows."""
    execute(connection, _UNDO, (list(numbers),))


def settle(connection: Connection, item_id: int, minutes: float) -> None:
    """Close or open an item as its answers require.

    minutes : an item that opens again stays open at least so long
    """
    execute(connection, _SETTLE, {"item_id": item_id, "seconds": minutes * 60})


def answer(
    connection: Connection,
    item_id: int,
    annotator: str,
    kind: Answer,
    label: str | None = None,
    *,
    minutes: float,
    origin: Origin = "console",
    seconds: float | None = None,
    model_hidden: bool | None = None,
    note: str | None = None,
    at: datetime | None = None,
) -> int:
    """Add the answer of an annotator who holds the item, and close it when it has the labels it needs.

    Raises ItemHeldError without a lease or with an expired one, ItemClosedError, AlreadyAnsweredError, AuditItemError
    for an audit item that is answered together with others, and DataError for a label that is not valid.
    """
    if (kind == "label") != (label is not None):
        raise DataError("a label goes with the answer `label`, and with no other")
    if label is not None:
        label = clean_label(connection, label)
    lock_item(connection, item_id)
    found = standing(connection, item_id, annotator)
    if found is None:
        raise missing_item(item_id)
    if found.answered:
        raise AlreadyAnsweredError("you have already answered this window; undo that answer first (z)")
    if not found.is_open:
        raise ItemClosedError("this window is closed: others have answered it, or it has expired")
    if not found.leased:
        raise ItemHeldError(
            "you do not hold this window: your lease has expired; open it again and answer then"
        )
    if found.stratum == AUDIT:
        if origin == "bulk":
            raise AuditItemError("a window of the audit share is labelled alone; label it on its own")
        model_hidden = True
    number = add_annotation(
        connection,
        item_id,
        annotator,
        kind,
        label,
        origin=origin,
        seconds=seconds,
        model_hidden=model_hidden,
        note=note,
        at=at,
    )
    execute(connection, "DELETE FROM leases WHERE item_id = %s AND annotator = %s", (item_id, annotator))
    settle(connection, item_id, minutes)
    return number


def answer_many(
    connection: Connection,
    item_ids: Sequence[int],
    annotator: str,
    label: str,
    *,
    minutes: float,
    seconds: float | None = None,
    model_hidden: bool | None = None,
) -> list[int]:
    """Give several items one label, as one step of undo; returns the items that took it.

    Items that the annotator does not hold any more, and closed ones, are left out. Raises AuditItemError, and labels
    none, where one is of the audit share.
    """
    at = fetch_value(connection, "SELECT clock_timestamp()")
    taken = []
    for item_id in sorted(set(item_ids)):
        execute(connection, "SAVEPOINT one_of_many")
        try:
            answer(
                connection,
                item_id,
                annotator,
                "label",
                label,
                minutes=minutes,
                origin="bulk",
                seconds=seconds,
                model_hidden=model_hidden,
                at=at,
            )
        except AuditItemError:
            raise
        except RefusedError:
            execute(connection, "ROLLBACK TO SAVEPOINT one_of_many")
        else:
            taken.append(item_id)
        execute(connection, "RELEASE SAVEPOINT one_of_many")
    return taken


@dataclass(frozen=True)
class Undone:
    """What was undone: the items, the answer, and which of the items the annotator holds again."""

    items: tuple[int, ...]
    answer: Answer
    label: str | None
    held: tuple[int, ...]


# A step is an answer, or all answers of one bulk: they have one annotator and one time.
_LAST_STEP = """
WITH steps AS (
    SELECT created_at, origin, answer, label, array_agg(annotation_id ORDER BY annotation_id) AS rows,
           array_agg(item_id ORDER BY annotation_id) AS items, max(annotation_id) AS newest,
           bool_or(EXISTS (SELECT FROM annotations u WHERE u.undoes = a.annotation_id)) AS undone
    FROM annotations a
    WHERE annotator = %(annotator)s AND answer <> 'undo' AND NOT adjudicates AND item_id IS NOT NULL
      AND origin IN ('console', 'bulk', 'oracle') AND created_at > clock_timestamp() - interval '1 day'
    GROUP BY created_at, origin, answer, label, CASE WHEN origin <> 'bulk' THEN annotation_id END
    ORDER BY newest DESC LIMIT %(steps)s
)
SELECT rows, items, answer, label FROM steps WHERE NOT undone ORDER BY newest DESC LIMIT 1
"""


def undo(connection: Connection, annotator: str, minutes: float) -> Undone | None:
    """Undo the annotator's last answer (a bulk as a whole) and lease its items again.

    None where none of their last UNDO_STEPS answers can be undone.
    """
    execute(connection, UNDOING, (annotator,))
    row = fetch_row(connection, _LAST_STEP, {"annotator": annotator, "steps": UNDO_STEPS})
    if row is None:
        return None
    numbers, items, kind, label = row
    execute(
        connection, "SELECT FROM queue_items WHERE item_id = ANY (%s) ORDER BY item_id FOR UPDATE", (items,)
    )
    undo_annotations(connection, numbers)
    held = []
    for item_id in items:
        settle(connection, item_id, minutes)
        if lease_if_free(connection, item_id, annotator, minutes):
            held.append(item_id)
    return Undone(tuple(items), kind, label, tuple(held))


@dataclass(frozen=True)
class Progress:
    """An annotator's labels, and the items that wait for them."""

    answered: int  # labels this hour
    labelled_today: int
    waiting: int  # open items that the annotator may still get


_PROGRESS = """
SELECT
  (SELECT count(*) FROM annotations_not_undone a WHERE a.annotator = %(annotator)s AND a.answer = 'label'
   AND a.created_at > date_trunc('hour', clock_timestamp())),
  (SELECT count(*) FROM annotations_not_undone a WHERE a.annotator = %(annotator)s AND a.answer = 'label'
   AND a.created_at > date_trunc('day', clock_timestamp())),
  (SELECT count(*) FROM queue_items q WHERE q.closed_at IS NULL AND q.expires_at > clock_timestamp()
   AND NOT EXISTS (SELECT FROM annotations_not_undone a
                   WHERE a.item_id = q.item_id AND a.annotator = %(annotator)s))
"""


def progress(connection: Connection, annotator: str) -> Progress:
    """The annotator's progress in this hour and today (UTC clock hours)."""
    return Progress(*fetch_one(connection, _PROGRESS, {"annotator": annotator}))
