"""Annotations out of the store and into it; lake/labels reads and writes the files.

The time of an answer decides, not the time of its import: an annotator's answer about a window is added where it is
newer than all that the store has of theirs, an undo included. So the rows of one annotator and window are always in
the order of their times, and a file may be imported any number of times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum

from activitymodule.errors import DataError
from activitymodule.store.answers import Answer, settle
from activitymodule.store.connection import Connection
from activitymodule.store.labels import Spellings
from activitymodule.store.locks import IMPORTING
from activitymodule.store.queries import execute, fetch_all, fetch_one, fetch_row, fetch_value
from activitymodule.text import clean_note


@dataclass(frozen=True)
class Exported:
    """One annotator's current answer about a window, with the window's gold label."""

    device_id: str
    window_start: datetime
    window_end: datetime
    annotator: str
    answer: str
    label: str | None
    adjudicates: bool
    origin: str
    seconds: float | None
    model_version: str | None
    suggested: str | None
    model_hidden: bool | None
    note: str | None
    created_at: datetime
    gold_label: str | None
    disputed: bool
    stratum: str | None


EXPORT_COLUMNS = tuple(field.name for field in fields(Exported))

# in an order that neither the store's numbers nor its locale decide, so that a restored store exports the same file
_EXPORT = """
SELECT a.device_id, a.window_start, a.window_end, a.annotator, a.answer, a.label, a.adjudicates, a.origin, a.seconds,
       a.model_version, a.suggested, a.model_hidden, a.note, a.created_at,
       g.label, coalesce(g.disputed, false), coalesce(a.stratum, q.stratum)
FROM annotations_in_force a
LEFT JOIN gold_labels g USING (device_id, window_start) LEFT JOIN queue_items q USING (item_id)
WHERE %(open_audit)s OR (q.stratum = 'audit' AND q.closed_at IS NULL AND q.expires_at > clock_timestamp()) IS NOT TRUE
ORDER BY a.created_at, a.device_id COLLATE "C", a.window_start, a.annotator COLLATE "C", a.adjudicates
"""


def exported(connection: Connection, *, open_audit: bool = True) -> list[Exported]:
    """The answers in force, one row an annotator and window, in the order they were given.

    open_audit : also those about audit windows that wait for another label (see store/audit.py)
    """
    return [Exported(*row) for row in fetch_all(connection, _EXPORT, {"open_audit": open_audit})]


@dataclass(frozen=True)
class Imported:
    """An answer from a file. at : when it was given, None where the file does not say

    restored : from an export of this project: its label is kept as it is. place : where it stands in the file
    """

    device_id: str
    window_start: datetime
    window_end: datetime
    annotator: str
    label: str | None
    note: str | None = None
    answer: Answer = "label"
    adjudicates: bool = False
    origin: str = "import"
    seconds: float | None = None
    model_version: str | None = None
    suggested: str | None = None
    model_hidden: bool | None = None
    stratum: str | None = None
    at: datetime | None = None
    restored: bool = False
    place: str = ""


class PassedOver(StrEnum):
    """Why an answer of a file is not imported."""

    OTHER_QUESTION = "of another question"
    SEVERAL = "with several labels for one window"
    NO_CHOICE = "without a choice"
    CANCELLED = "skipped by the annotator"
    TWICE = "replaced by a newer answer of the same annotator in the file"
    OLDER = "older than the annotator's answer in the store"
    NO_TIME = "without a time, where the annotator's answer in the store has one"


class ImportRows(list[Imported]):
    """The answers of a file, and how many were passed over for which reason."""

    def __init__(
        self, rows: Iterable[Imported] = (), passed_over: Mapping[PassedOver, int] | None = None
    ) -> None:
        super().__init__(rows)
        self.passed_over = Counter(passed_over or {})


@dataclass(frozen=True)
class ImportCount:
    """What became of the answers of a file."""

    added: int
    known: int  # the store has them
    unmatched: int  # of the added: without a queue item, so without readings to learn from
    passed_over: Mapping[str, int] = field(default_factory=dict)  # by reason


_AHEAD = timedelta(minutes=10)  # by which another machine's clock may be ahead of the store's

_FIND_ITEM = "SELECT item_id FROM queue_items WHERE device_id = %s AND window_start = %s FOR UPDATE"
# The newest time that is known of all rows of theirs, an undo and what it undoes included, and the last row. Not
# known is the time of an import that had none; those of earlier versions are all stamped with their import.
_FIND_LAST = """
SELECT max(created_at) FILTER (WHERE answer = 'undo' OR origin <> 'import' OR imported_at <> created_at),
       (array_agg(answer ORDER BY annotation_id DESC))[1], (array_agg(label ORDER BY annotation_id DESC))[1]
FROM annotations
WHERE device_id = %s AND window_start = %s AND annotator = %s AND adjudicates = %s
"""
_ADD = """
INSERT INTO annotations (item_id, device_id, window_start, window_end, annotator, answer, label, adjudicates, origin,
    seconds, model_version, suggested, model_hidden, note, stratum, created_at, imported_at)
VALUES (%(item_id)s, %(device_id)s, %(window_start)s, %(window_end)s, %(annotator)s, %(answer)s, %(label)s,
    %(adjudicates)s, %(origin)s, %(seconds)s, %(model_version)s, %(suggested)s, %(model_hidden)s, %(note)s,
    %(stratum)s, coalesce(%(at)s, %(now)s), %(now)s)
"""


def import_labels(connection: Connection, rows: Iterable[Imported], *, minutes: float) -> ImportCount:
    """Add the answers of a file, each once however often it is imported; closes the items they answer.

    Raises DataError, which names the row, for a label that is not valid or an answer of the future.
    """
    execute(connection, IMPORTING)
    now = fetch_value(connection, "SELECT clock_timestamp()")
    spellings = Spellings(connection)
    passed_over = Counter(rows.passed_over if isinstance(rows, ImportRows) else {})
    added = known = unmatched = 0
    for row in _newest(rows, passed_over):
        label = _label(spellings, row)
        if row.at is not None and row.at > now + _AHEAD:
            raise DataError(f"{row.place}, column created_at: {row.at.isoformat()} has not come yet")
        item = fetch_row(connection, _FIND_ITEM, (row.device_id, row.window_start))
        match _standing(connection, row, label):
            case "known":
                known += 1
                continue
            case PassedOver() as reason:
                passed_over[reason] += 1
                continue
        item_id = item[0] if item else None
        values = {**vars(row), "label": label, "note": clean_note(row.note), "item_id": item_id, "now": now}
        execute(connection, _ADD, values)
        added += 1
        if item_id is None:
            unmatched += 1
        else:
            settle(connection, item_id, minutes)
    return ImportCount(
        added, known, unmatched, {str(reason): count for reason, count in passed_over.items() if count}
    )


def _newest(rows: Iterable[Imported], passed_over: Counter[PassedOver]) -> list[Imported]:
    """One row an annotator and window, the newest or else the last; in the order of their times."""
    found: dict[tuple[str, datetime, str, bool], Imported] = {}
    for row in rows:
        key = (row.device_id, row.window_start, row.annotator, row.adjudicates)
        before = found.get(key)
        if before is not None:
            passed_over[PassedOver.TWICE] += 1
            if before.at is not None and (row.at is None or row.at < before.at):
                continue
        found[key] = row
    timed = sorted(
        (row for row in found.values() if row.at is not None), key=lambda row: row.at or row.window_start
    )
    return [*timed, *(row for row in found.values() if row.at is None)]


def _label(spellings: Spellings, row: Imported) -> str | None:
    if row.label is None:
        return None
    if row.restored:
        return spellings.known(row.label) or row.label
    try:
        return spellings.clean(row.label)
    except DataError as error:
        raise DataError(f"{row.place}, column label: {error}" if row.place else str(error)) from None


def _standing(connection: Connection, row: Imported, label: str | None) -> str | PassedOver | None:
    """`known` where the store has the answer, the reason where it must not be added, else None."""
    key = (row.device_id, row.window_start, row.annotator, row.adjudicates)
    newest, answer, held = fetch_one(connection, _FIND_LAST, key)
    same = (answer, held) == (row.answer, label)
    if row.at is None:
        return "known" if same else None if newest is None else PassedOver.NO_TIME
    if newest is None or row.at > newest:
        return None
    return "known" if same else PassedOver.OLDER
