"""Annotations out of the store and into it; lake/labels reads and writes the files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from activitymodule.store.answers import clean_note, settle
from activitymodule.store.connection import Connection
from activitymodule.store.labels import clean_label
from activitymodule.store.queries import execute, fetch_all, fetch_row


@dataclass(frozen=True)
class Exported:
    """One annotator's current answer about a window, with the window's gold label."""

    annotation_id: int
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

_EXPORT = """
SELECT a.annotation_id, a.device_id, a.window_start, a.window_end, a.annotator, a.answer, a.label,
       a.adjudicates, a.origin, a.seconds, a.model_version, a.suggested, a.model_hidden, a.note, a.created_at,
       g.label, coalesce(g.disputed, false), q.stratum
FROM annotations_in_force a
LEFT JOIN gold_labels g USING (device_id, window_start) LEFT JOIN queue_items q USING (item_id)
ORDER BY a.annotation_id
"""


def exported(connection: Connection) -> list[Exported]:
    """The answers in force, one row an annotator and window."""
    return [Exported(*row) for row in fetch_all(connection, _EXPORT)]


@dataclass(frozen=True)
class Imported:
    """A label from a file."""

    device_id: str
    window_start: datetime
    window_end: datetime
    annotator: str
    label: str
    note: str | None = None


@dataclass(frozen=True)
class ImportCount:
    """What became of imported labels."""

    added: int
    known: int  # the same annotator had given the window the same label
    unmatched: int  # of the added: without a queue item, so without readings to learn from


_FIND_ITEM = "SELECT item_id FROM queue_items WHERE device_id = %s AND window_start = %s FOR UPDATE"
_FIND_ANSWER = """
SELECT answer, label FROM annotations_in_force
WHERE device_id = %s AND window_start = %s AND annotator = %s AND NOT adjudicates
"""
_ADD = """
INSERT INTO annotations (item_id, device_id, window_start, window_end, annotator, answer, label, origin, note)
VALUES (%s, %s, %s, %s, %s, 'label', %s, 'import', %s)
"""


def import_labels(connection: Connection, rows: Iterable[Imported], *, minutes: float) -> ImportCount:
    """Add labels from a file, each once however often it is imported; closes the items they answer."""
    added = known = unmatched = 0
    for row in rows:
        label = clean_label(connection, row.label)
        window = (row.device_id, row.window_start)
        item = fetch_row(connection, _FIND_ITEM, window)
        if fetch_row(connection, _FIND_ANSWER, (*window, row.annotator)) == ("label", label):
            known += 1
            continue
        item_id = item[0] if item else None
        execute(
            connection,
            _ADD,
            (item_id, *window, row.window_end, row.annotator, label, clean_note(row.note)),
        )
        added += 1
        if item_id is None:
            unmatched += 1
        else:
            settle(connection, item_id, minutes)
    return ImportCount(added, known, unmatched)
