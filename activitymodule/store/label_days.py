"""Annotations in force and gold labels by day (UTC) of their windows, as a warehouse gets them: without the names and
notes of annotators. A day's mark is another one for any other rows, also where some were undone or erased."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from activitymodule.store.connection import Connection
from activitymodule.store.prediction_days import Content
from activitymodule.store.queries import Row, execute, fetch_all

ANNOTATIONS = "annotations"
GOLD_LABELS = "gold_labels"

COLUMNS = {
    ANNOTATIONS: (
        *(
            "annotation_id",
            "device_id",
            "window_start",
            "window_end",
            "answer",
            "label",
            "adjudicates",
            "origin",
        ),
        *("seconds", "model_version", "suggested", "model_hidden", "stratum", "created_at", "imported_at"),
    ),
    GOLD_LABELS: (
        *("device_id", "window_start", "window_end", "label", "annotators", "adjudicated", "disputed"),
        *("labelled_at", "answered_at"),
    ),
}
_VIEWS = {ANNOTATIONS: "annotations_in_force", GOLD_LABELS: "gold_labels"}
_DAY = "(window_start AT TIME ZONE 'UTC')::date"


def as_of_one_moment(connection: Connection) -> None:
    """Let all that this transaction reads be of one moment; the first statement of a transaction."""
    execute(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def marks(connection: Connection, kind: str) -> dict[date, str]:
    """The mark of each day that has rows."""
    sql = f"""
    SELECT {_DAY} AS day, count(*), sum(hashtextextended(of_day::text, 0)::numeric)
    FROM (SELECT {", ".join(COLUMNS[kind])} FROM {_VIEWS[kind]}) AS of_day GROUP BY day ORDER BY day
    """
    return {day: Content(rows, hashes).token for day, rows, hashes in fetch_all(connection, sql)}


def rows(connection: Connection, kind: str, days: Sequence[date]) -> Iterator[tuple[date, list[Row]]]:
    """The rows (COLUMNS) of each of these days that has any, one day after the other."""
    sql = f"""
    SELECT {_DAY} AS day, {", ".join(COLUMNS[kind])} FROM {_VIEWS[kind]}
    WHERE {_DAY} = ANY (%s) ORDER BY day, window_start, device_id, {"annotation_id" if kind == ANNOTATIONS else "label"}
    """
    with connection.cursor(
        "label_days"
    ) as cursor:  # one of the server's: all of years need not fit into memory
        cursor.itersize = 10_000
        cursor.execute(sql, (list(days),))
        found: Iterator[Any] = iter(cursor)
        for day, of_day in groupby(found, lambda row: row[0]):
            yield day, [row[1:] for row in of_day]
