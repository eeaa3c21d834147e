"""Spans: an activity that a person gives to a span of time of one watch, as they remember it.

`spans` is append-only: a span is undone by a row that refers to it. A moment has one label: that of the span which was
answered last, whoever gave it; of spans answered at the same time, that which was recorded last (the later row of a
file). So an undo brings back what was there before. Everything happens in the caller's transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from psycopg2.extras import execute_values

from activitymodule.errors import AlreadyUndoneError, DataError
from activitymodule.store.connection import Connection
from activitymodule.store.labels import Spellings
from activitymodule.store.locks import IMPORTING, UNDOING
from activitymodule.store.queries import execute, fetch_all, fetch_row, fetch_value
from activitymodule.text import clean_note

Origin = Literal["console", "import"]

LONGEST_SPAN = timedelta(hours=24)
"""A longer one is more likely a wrong date than a memory."""
_FIRST_YEAR = 2000
_AHEAD = timedelta(minutes=10)  # by which another machine's clock may be ahead of the store's


@dataclass(frozen=True)
class Span:
    """A span that was not undone. answered_at : when the answer was given; recorded_at, recorded_by : when this store
    learnt of it, and by whom."""

    span_id: int
    device_id: str
    span_start: datetime
    span_end: datetime
    label: str
    annotator: str
    note: str | None
    origin: Origin
    answered_at: datetime
    recorded_at: datetime
    recorded_by: str


_COLUMNS = (
    "span_id, device_id, span_start, span_end, label, annotator, note, origin, answered_at, recorded_at, "
    "recorded_by"
)
_ADD = f"""
INSERT INTO spans (device_id, span_start, span_end, label, annotator, note, origin, answered_at, recorded_at,
    recorded_by)
VALUES %s RETURNING {_COLUMNS}
"""
# the weakest first: of two that overlap, the one that comes later has the moment
_IN_FORCE = f"""
SELECT {_COLUMNS} FROM spans_in_force
WHERE (%(device)s::text IS NULL OR device_id = %(device)s)
  AND (%(since)s::timestamptz IS NULL OR span_end > %(since)s)
  AND (%(until)s::timestamptz IS NULL OR span_start < %(until)s)
ORDER BY answered_at, span_id
"""
_FIND = f"SELECT {_COLUMNS} FROM spans WHERE span_id = %s AND undoes IS NULL"
_UNDO = """
INSERT INTO spans (device_id, span_start, span_end, annotator, origin, answered_at, recorded_at, recorded_by, undoes)
SELECT device_id, span_start, span_end, annotator, origin, moment, moment, %(by)s, span_id
FROM spans, clock_timestamp() AS moment WHERE span_id = ANY (%(ids)s) AND undoes IS NULL ORDER BY span_id
ON CONFLICT (undoes) WHERE undoes IS NOT NULL DO NOTHING
"""
_LAST_STEP = """
SELECT span_id FROM spans_in_force s WHERE recorded_by = %(by)s AND recorded_at = (
    SELECT max(recorded_at) FROM spans_in_force
    WHERE recorded_by = %(by)s AND (%(origin)s::text IS NULL OR origin = %(origin)s))
ORDER BY span_id
"""
_STORED = """
SELECT s.device_id, s.span_start, s.span_end, s.label, s.annotator, s.note, s.answered_at,
       EXISTS (SELECT FROM spans u WHERE u.undoes = s.span_id)
FROM spans s WHERE s.undoes IS NULL AND s.device_id = ANY (%s)
"""


def problem_of(start: datetime, end: datetime, now: datetime) -> tuple[Literal["from", "to"], str] | None:
    """What is wrong with the times of a span: at which end, and in words; None where they may be."""
    if start.year < _FIRST_YEAR:
        return "from", f"the year {start.year} is out of range ({_FIRST_YEAR} at least)"
    if end <= start:
        return "to", "the span ends before it begins"
    if end - start > LONGEST_SPAN:
        hours = LONGEST_SPAN // timedelta(hours=1)
        return "to", f"the span is longer than {hours} hours; divide it, or mend the date"
    if end > now + _AHEAD:
        return "to", f"{end.isoformat()} has not come yet"
    return None


def add_span(
    connection: Connection,
    device_id: str,
    start: datetime,
    end: datetime,
    label: str,
    *,
    annotator: str,
    origin: Origin,
    note: str | None = None,
) -> Span:
    """Add the span that somebody gives now. Raises DataError for a label or times that are not valid."""
    now = fetch_value(connection, "SELECT clock_timestamp()")
    if (problem := problem_of(start, end, now)) is not None:
        raise DataError(problem[1])
    label = Spellings(connection).clean(label)
    (span,) = _insert(
        connection, [(device_id, start, end, label, annotator, clean_note(note), origin, now, now, annotator)]
    )
    return span


def _insert(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[Span]:
    with connection.cursor() as cursor:
        # in one statement after another: the number of a row follows its place in the file
        return [Span(*row) for row in execute_values(cursor, _ADD, rows, page_size=1000, fetch=True)]


def spans_in_force(
    connection: Connection,
    device_id: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Span]:
    """Spans that overlap [since, until), the weakest first: where two overlap, the later one of the list counts."""
    values = {"device": device_id, "since": since, "until": until}
    return [Span(*row) for row in fetch_all(connection, _IN_FORCE, values)]


def find_span(connection: Connection, span_id: int) -> Span | None:
    """A span by its number, undone or not; None where there is none."""
    row = fetch_row(connection, _FIND, (span_id,))
    return Span(*row) if row else None


def undo_spans(connection: Connection, span_ids: Sequence[int], by: str) -> int:
    """Undo spans; how many were in force. Raises AlreadyUndoneError where none of them was."""
    undone = execute(connection, _UNDO, {"ids": list(span_ids), "by": by})
    if not undone:
        raise AlreadyUndoneError("the span was undone before, or there is none; nothing has changed")
    return undone


def undo_last(connection: Connection, by: str, *, origin: Origin | None = None) -> int:
    """Undo what somebody recorded last: a span, or all spans of an import; 0 where there is nothing to undo."""
    execute(connection, UNDOING, (by,))
    step = [row[0] for row in fetch_all(connection, _LAST_STEP, {"by": by, "origin": origin})]
    return undo_spans(connection, step, by) if step else 0


# ---- files


@dataclass(frozen=True)
class SpanRow:
    """A span of a file. answered_at : None where the file does not say; place : where it stands in the file

    restored : from an export of this project: its texts are kept as they are
    """

    device_id: str
    span_start: datetime
    span_end: datetime
    label: str
    annotator: str
    note: str | None = None
    answered_at: datetime | None = None
    origin: Origin = "import"
    restored: bool = False
    place: str = ""


class SpanPassedOver(StrEnum):
    """Why a span of a file is not imported."""

    UNDONE = "undone in the store since it was answered"


@dataclass(frozen=True)
class SpanImportCount:
    """What became of the spans of a file."""

    added: int
    known: int  # the store has them
    passed_over: Mapping[str, int] = field(default_factory=dict)  # by reason


def import_spans(connection: Connection, rows: Iterable[SpanRow], *, recorded_by: str) -> SpanImportCount:
    """Add the spans of a file, each once however often the file is imported.

    A span without a time is answered now. It is known where the store has an equal one that was not undone; a span
    with a time is known where the store has it with that time, and stays undone where it was undone. Raises DataError,
    which names the row, for a label or times that are not valid.
    """
    given = list(rows)
    execute(connection, IMPORTING)
    now = fetch_value(connection, "SELECT clock_timestamp()")
    spellings = Spellings(connection)
    stored = _Stored(connection, sorted({row.device_id for row in given}))
    new = []
    known = undone = 0
    for row in given:
        label = _checked(spellings, row, now)
        key = (row.device_id, row.span_start, row.span_end, label, row.annotator, clean_note(row.note))
        match stored.take(key, row.answered_at):
            case "in force":
                known += 1
            case "undone":
                undone += 1
            case None:
                new.append((*key, row.origin, row.answered_at or now, now, recorded_by))
    if new:
        _insert(connection, new)
    return SpanImportCount(len(new), known, {str(SpanPassedOver.UNDONE): undone} if undone else {})


class _Stored:
    """The spans of some watches, each to be taken once: a row that a file has twice is two spans."""

    def __init__(self, connection: Connection, devices: list[str]) -> None:
        self._in_force: Counter[tuple[Any, ...]] = Counter()
        self._undone: Counter[tuple[Any, ...]] = Counter()
        for *key, answered_at, undone in fetch_all(connection, _STORED, (devices,)):
            kept = self._undone if undone else self._in_force
            kept[*key, answered_at] += 1
            kept[*key, None] += 1

    def take(
        self, key: tuple[Any, ...], answered_at: datetime | None
    ) -> Literal["in force", "undone"] | None:
        """What the store has of a span with this time of its answer, or, without one, in force with any."""
        if self._in_force[*key, answered_at] > 0:
            self._in_force[*key, answered_at] -= 1
            return "in force"
        return "undone" if answered_at is not None and self._undone[*key, answered_at] > 0 else None


def _checked(spellings: Spellings, row: SpanRow, now: datetime) -> str:
    """The label as it is stored. Raises DataError, which names the row, where it or the times are not valid."""
    head = f"{row.place}, column " if row.place else ""
    if (problem := problem_of(row.span_start, row.span_end, now)) is not None:
        raise DataError(f"{head}{problem[0]}: {problem[1]}")
    if row.answered_at is not None and row.answered_at > now + _AHEAD:
        raise DataError(f"{head}answered_at: {row.answered_at.isoformat()} has not come yet")
    if row.restored:
        return spellings.known(row.label) or row.label
    try:
        return spellings.clean(row.label)
    except DataError as error:
        raise DataError(f"{head}activity: {error}" if head else str(error)) from None
