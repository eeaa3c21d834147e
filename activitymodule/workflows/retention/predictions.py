"""Days of predictions go to the lake, and from there, if a setting asks for it.

A day is written to the lake while it is still in the store, then its table is taken out of `predictions`, compared with
what was written, and dropped. A run that is interrupted anywhere is continued by the next: what the lake has is not
written again, and a table that was taken out is compared and dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import TypeVar

import psycopg2
from psycopg2.errors import LockNotAvailable

from activitymodule.errors import ActivityError, LockedError
from activitymodule.lake import predictions as lake
from activitymodule.store import prediction_days as store
from activitymodule.store.connection import Connection, connect, explained, session
from activitymodule.store.prediction_days import Content, Partition
from activitymodule.store.retention import Amount
from activitymodule.workflows.retention.kind import Kind, Run, midnight

T = TypeVar("T")
_TRIES = 20
"""For a lock of some milliseconds, each of which waits 3 s at most."""


def _is_past(connection: Connection, begin: datetime | None, end: datetime | None, before: date) -> bool:
    """Whether windows within [begin, end) are all of before a day, and nothing was written there since: old recordings
    that were replayed stay as long as others."""
    if end is None or end > midnight(before):
        return False
    newest = store.newest_write(connection, begin, end)
    return newest is None or newest < midnight(before)


def _past(connection: Connection, before: date) -> list[Partition]:
    found = store.partitions(connection)
    return [one for one in found if _is_past(connection, one.from_at, one.until_at, before)]


def _past_late(connection: Connection, before: date) -> list[date]:
    """Days without a partition, of which the default one has rows."""
    days = store.late_days(connection)
    return [day for day in days if _is_past(connection, *store.day_bounds(day), before)]


def _due(run: Run, limit: int) -> Amount:
    before = run.before_day(limit)
    with session(run.config, read_only=True) as connection:
        past = _past(connection, before)
        rows = sum(
            store.content(connection, store.DEFAULT, day).rows for day in _past_late(connection, before)
        )
    return Amount(sum(one.rows for one in past) + rows, sum(one.bytes for one in past))


def _move(run: Run, limit: int) -> Amount:
    before = run.before_day(limit)
    connection = connect(run.config)
    try:
        with explained(run.config):
            total = _finish_earlier(run, connection)
            for one in _past(connection, before):
                # by predictions itself: a role that does not own the table may not read its partitions by name
                expected = _to_lake(run, connection, "predictions", one.from_at, one.until_at)
                _patiently(connection, partial(store.take_out, connection, one.name), one.name)
                total = _add(total, _drop(run, connection, one.name, expected), one.bytes)
            for day in _past_late(connection, before):
                total = _add(total, _move_late(run, connection, day), 0)
            oldest = run.before_day(store.LONGEST_AGO_DAYS)
            for day in store.late_days(connection):
                if day >= oldest:
                    _patiently(connection, partial(store.make_days, connection, day, day), store.DEFAULT)
    finally:
        connection.close()
    return total


def _finish_earlier(run: Run, connection: Connection) -> Amount:
    """Drop what a run that was interrupted had taken out."""
    return Amount(sum(_drop(run, connection, name) for name in store.taken_out(connection)), 0)


def _add(total: Amount, rows: int, size: int) -> Amount:
    return Amount(total.count + rows, total.bytes + size)


def _to_lake(
    run: Run, connection: Connection, table: str, begin: datetime | None = None, end: datetime | None = None
) -> Content:
    """Write every day that a table has within [begin, end) to the lake; what it held, as of one moment."""
    connection.rollback()
    connection.set_session(isolation_level="REPEATABLE READ")
    try:
        total = store.NOTHING
        for day in store.days_within(connection, table, begin, end):
            held = store.content(connection, table, day)
            copy = partial(store.copy_day, connection, table, day)
            lake.write_day(run.config, day, held.rows, held.token, copy)
            run.say(f"{held.rows:,} predictions of {day} are in the lake")
            total = total + held
        return total
    finally:
        connection.rollback()
        connection.set_session(isolation_level="READ COMMITTED")


def _drop(run: Run, connection: Connection, table: str, expected: Content | None = None) -> int:
    """Drop a table that was taken out, once the lake has all that is in it; how many rows it had."""
    for _ in range(3):
        if expected is not None and _patiently(
            connection, partial(store.drop, connection, table, expected), table
        ):
            return expected.rows
        # something was written between the copy and the taking out; nobody can write now
        expected = _to_lake(run, connection, table)
    raise ActivityError(
        f"{table} differs from what was written of it; it is kept, and the next run tries again"
    )


def _move_late(run: Run, connection: Connection, day: date) -> int:
    """Rows of a day whose partition is gone: into the lake, and deleted within one transaction."""
    held = store.content(connection, store.DEFAULT, day)
    # never taken for written before: writing deletes them
    token = f"{held.token}, late at {run.now.isoformat()}"
    lake.write_day(run.config, day, held.rows, token, partial(store.copy_late, connection, day))
    run.say(f"{held.rows:,} late predictions of {day} are in the lake")
    connection.commit()
    return held.rows


def _patiently(connection: Connection, work: Callable[[], T], what: str) -> T:
    """Do something that needs a lock for some milliseconds, in a transaction of its own."""
    for _ in range(_TRIES):
        try:
            done = work()
            connection.commit()
            return done
        except LockNotAvailable:
            connection.rollback()
        except psycopg2.Error:
            connection.rollback()
            raise
    raise LockedError(
        f"{what} is in use by a query that takes long; nothing was deleted, and the next run tries again"
    )


def _lake_due(run: Run, limit: int) -> Amount:
    return _lake_amount(lake.delete_days_before(run.config, run.before_day(limit), dry_run=True))


def _delete_from_lake(run: Run, limit: int) -> Amount:
    return _lake_amount(lake.delete_days_before(run.config, run.before_day(limit)))


def _lake_amount(days: list[lake.LakeDay]) -> Amount:
    return Amount(sum(one.rows for one in days), sum(one.bytes for one in days))


KINDS = (
    Kind("predictions_days", "predictions, to the lake", _due, _move, moved=True, whole_days=True),
    Kind("lake_predictions_days", "predictions in the lake", _lake_due, _delete_from_lake, whole_days=True),
)
