"""The partitions of predictions, one a day (UTC): made ahead, read for the lake, taken out and dropped.

The functions that change them are the store's own (sql/migrations/versions/0011_prediction_days.sql), so that a role
needs no more than the right to call them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import IO

import numpy as np
import psycopg2
from psycopg2.errors import LockNotAvailable

from activitymodule.store.connection import Connection
from activitymodule.store.prediction_columns import COLUMNS
from activitymodule.store.queries import execute, fetch_all, fetch_one, fetch_row, fetch_value

log = logging.getLogger(__name__)

AHEAD_DAYS = 3  # a scorer makes them every hour, and a writer where one is missing
LONGEST_AGO_DAYS = 400
"""Recordings of other years are few rows each day, and each partition has its price for every query."""
_EPOCH = datetime.fromtimestamp(0, UTC)
_DAY_US = 86_400_000_000

DEFAULT = "predictions_default"


@dataclass(frozen=True)
class Partition:
    """A partition: its range of window_start (None: unlimited; the default one has no range), rows about, bytes."""

    name: str
    from_at: datetime | None
    until_at: datetime | None
    rows: int
    bytes: int


@dataclass(frozen=True)
class Content:
    """Rows, and the sum of the hashes of all of them: what must be the same before a table is dropped."""

    rows: int
    hashes: Decimal

    @property
    def token(self) -> str:
        """As text that is another one for any other content."""
        return f"{self.rows} rows, {self.hashes}"

    def __add__(self, other: Content) -> Content:
        return Content(self.rows + other.rows, self.hashes + other.hashes)


NOTHING = Content(0, Decimal(0))


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """Where a day (UTC) begins, and where the next one does."""
    begin = datetime.combine(day, time(), UTC)
    return begin, begin + timedelta(days=1)


def make_days(connection: Connection, first: date, last: date) -> int:
    """Make the partitions of these days that have none, in the caller's transaction; returns how many.

    Raises psycopg2.errors.LockNotAvailable where a query holds the default partition for long.
    """
    return int(fetch_value(connection, "SELECT make_prediction_days(%s, %s)", (first, last)))


def make_days_ahead(connection: Connection, today: date) -> int:
    """Make those of yesterday, today and AHEAD_DAYS days more."""
    return make_days(connection, today - timedelta(days=1), today + timedelta(days=AHEAD_DAYS))


_known: dict[str, set[int]] = {}
"""Store -> days (since 1970) that this process has seen to."""


def ensure_days(connection: Connection, window_start_us: np.ndarray) -> None:
    """Make the partitions that windows of these starts (UTC microseconds) go to, within the caller's transaction.

    Once a day and process. Where it cannot be done now, and for days of more than LONGEST_AGO_DAYS ago, rows go to
    the default partition, from where retention takes them.
    """
    store = connection.info
    known = _known.setdefault(f"{store.host}:{store.port}/{store.dbname}", set())
    new = set(np.unique(np.asarray(window_start_us, np.int64) // _DAY_US).tolist()) - known
    if not new:
        return
    known |= new
    oldest = (datetime.now(UTC) - _EPOCH).days - LONGEST_AGO_DAYS
    for number in sorted(one for one in new if one >= oldest):
        day = (_EPOCH + timedelta(days=number)).date()
        execute(connection, "SAVEPOINT days")
        try:
            make_days(connection, day, day)
        except psycopg2.Error as error:
            # without a connection nothing can be written either
            if connection.closed:
                raise
            execute(connection, "ROLLBACK TO SAVEPOINT days")
            if not isinstance(error, LockNotAvailable):
                log.warning("no partition for the predictions of %s: %s", day, str(error).splitlines()[0])
        execute(connection, "RELEASE SAVEPOINT days")


_LIST = """
SELECT name, nullif(from_at, '-infinity'), until_at, greatest(rows, 0), bytes
FROM prediction_days ORDER BY from_at NULLS LAST, name
"""


def partitions(connection: Connection) -> list[Partition]:
    """Every partition, the oldest first and the default one last."""
    return [Partition(*row) for row in fetch_all(connection, _LIST)]


def newest_write(connection: Connection, begin: datetime | None, end: datetime) -> datetime | None:
    """When a window within [begin, end) was written last; None where there is none."""
    sql = "SELECT max(processed_at) FROM predictions WHERE window_start >= %s AND window_start < %s"
    found: datetime | None = fetch_value(connection, sql, (begin or "-infinity", end))
    return found


def taken_out(connection: Connection) -> list[str]:
    """Tables of days that were taken out and not dropped yet."""
    return [
        row[0] for row in fetch_all(connection, "SELECT name FROM prediction_days_taken_out ORDER BY name")
    ]


def late_days(connection: Connection) -> list[date]:
    """Days (UTC) of which the default partition has rows, oldest first."""
    sql = f"SELECT DISTINCT (window_start AT TIME ZONE 'UTC')::date FROM {DEFAULT} ORDER BY 1"
    return [row[0] for row in fetch_all(connection, sql)]


_NEXT = "SELECT min(window_start) FROM {} WHERE window_start >= %s AND window_start < %s"


def days_within(
    connection: Connection, table: str, begin: datetime | None, end: datetime | None
) -> list[date]:
    """Days (UTC) of which `table` has rows within [begin, end), oldest first: one look-up a day."""
    found = []
    at = begin or "-infinity"
    while (row := fetch_row(connection, _NEXT.format(table), (at, end or "infinity"))) and row[0] is not None:
        day = row[0].astimezone(UTC).date()
        found.append(day)
        at = day_bounds(day)[1]
    return found


_CONTENT = """
SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {} t
WHERE t.window_start >= %s AND t.window_start < %s
"""


def content(connection: Connection, table: str, day: date) -> Content:
    """What a table has of a day."""
    return Content(*fetch_one(connection, _CONTENT.format(table), day_bounds(day)))


# Arrays as JSON, which needs no parser of PostgreSQL's own text
_COLUMNS = {
    "probabilities": "array_to_json(probabilities)",
    "conformal_set": "array_to_json(conformal_set)",
}
_COPY = """
COPY (SELECT {} FROM {} WHERE window_start >= {} AND window_start < {} ORDER BY device_id, window_start)
TO STDOUT (FORMAT csv, HEADER, NULL '', FORCE_QUOTE *)
"""


def copy_day(
    connection: Connection, table: str, day: date, sink: IO[bytes], device_id: str | None = None
) -> None:
    """Write a day of a table (of one watch) as CSV with a header, sorted by watch and time; arrays as JSON."""
    selected = ", ".join(f"{_COLUMNS.get(column.name, column.name)} AS {column.name}" for column in COLUMNS)
    with connection.cursor() as cursor:
        begin, end = (cursor.mogrify("%s", (at,)).decode() for at in day_bounds(day))
        if device_id is not None:
            end += cursor.mogrify(" AND device_id = %s", (device_id,)).decode()
        cursor.copy_expert(_COPY.format(selected, table, begin, end), sink)


def copy_late(connection: Connection, day: date, sink: IO[bytes]) -> None:
    """Take the rows of a day out of the default partition, and write them as `copy_day` does.

    They are back where the caller's transaction is not committed.
    """
    with connection.cursor() as cursor:
        taken = cursor.mogrify("take_late_predictions(%s)", (day,)).decode()
    copy_day(connection, taken, day, sink)


def take_out(connection: Connection, name: str) -> None:
    """Take a past partition out of predictions, in the caller's transaction; its table stays."""
    execute(connection, "SELECT take_out_prediction_day(%s)", (name,))


def drop(connection: Connection, name: str, expected: Content) -> bool:
    """Drop a table that was taken out, if it still has this content; whether it was dropped."""
    values = (name, expected.rows, expected.hashes)
    return bool(fetch_value(connection, "SELECT drop_prediction_day(%s, %s, %s)", values))
