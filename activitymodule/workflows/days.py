"""Daily records: built from predictions and the archive, written to the lake, copied to the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from activitymodule.days.derived import with_derived
from activitymodule.days.local import HOUR_US, date_of, days_between
from activitymodule.days.merging import merged
from activitymodule.days.records import MARGIN_US
from activitymodule.days.wearers import Wearers, Wearing, wearers
from activitymodule.errors import DataError
from activitymodule.lake import daily, daily_writing, predictions
from activitymodule.lake.daily import Month, month_of
from activitymodule.lake.daily_writing import Change
from activitymodule.settings import Settings
from activitymodule.store import daily_records as store
from activitymodule.store import participants
from activitymodule.store.connection import Connection, session, transact
from activitymodule.store.daily_windows import hours_written_since
from activitymodule.store.locks import DAILY, RETENTION, SessionLock
from activitymodule.store.prediction_days import day_bounds, days_within, taken_out
from activitymodule.streaming.daily import records, runs
from activitymodule.streaming.session import spark_session
from activitymodule.streaming.spark_errors import explained_spark

SOURCE = "devices"
_SLACK = timedelta(hours=1)  # what was scored just before a build may not have been archived yet
_EPOCH = datetime.fromtimestamp(0, UTC)
_NO_EARLIER = _EPOCH.date()


class BuildReport(BaseModel):
    """What a build made. dates : local dates that were computed; rows : of them now; changed : months whose file
    is another one"""

    model_config = ConfigDict(frozen=True)

    dates: int
    first: date | None
    last: date | None
    rows: int
    participants: int
    changed: tuple[str, ...]


def build(
    config: Settings,
    since: date | None = None,
    until: date | None = None,
    *,
    now: datetime | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> BuildReport:
    """Build the daily records of the source `devices`, of local dates (both included).

    Without dates: those of which predictions were written since the last such build, all at the first time. Built
    again, a day of the same predictions and archive is the same row, and its file the same bytes. Raises LockedError
    where another build, an import or a retention is at work.
    """
    now = now or datetime.now(UTC)
    if since and until and since > until:
        raise DataError(f"there is no day from {since} to {until}; the first date must not be after the last")
    with _alone(config), _no_retention(config):
        with session(config, read_only=True) as connection:
            people = _wearers(connection, config)
            if since or until:
                dates = _between(connection, config, since, until, now)
            else:
                dates = _written_since(connection, config, people, daily.last_build(config))
        rows, names, changes = 0, set[str](), list[Change]()
        for first, last in _by_month(dates):
            say(f"days {first} to {last} ...")
            made = _of_spark(config, people, first, last)
            rows += len(made)
            names |= {*made.column("participant").to_pylist()}
            stale = (pc.field("source") == SOURCE) & (pc.field("date") >= first) & (pc.field("date") <= last)
            changes += daily_writing.replace(config, made, stale, [month_of(first)])
        copy_to_store(config, [one.month for one in changes], now)
        if not (since or until):
            daily.record_build(config, now)
    return BuildReport(
        dates=len(dates),
        first=dates[0] if dates else None,
        last=dates[-1] if dates else None,
        rows=rows,
        participants=len(names),
        changed=tuple(sorted({str(one.month) for one in changes})),
    )


def write(
    config: Settings,
    new: pa.Table,
    stale: pc.Expression | None = None,
    among: Iterable[Month] = (),
    *,
    patience_seconds: float = 60,
) -> list[Change]:
    """Write daily records of an import to the lake and the store: lake.daily_writing.replace, alone.

    Raises LockedError where another process writes some after that time, and what `replace` does.
    """
    with _alone(config, patience_seconds):
        changes = daily_writing.replace(config, new, stale, among)
        copy_to_store(config, [one.month for one in changes], datetime.now(UTC))
    return changes


def remove(config: Settings, participant: str) -> int:
    """Remove all daily records of a participant from the lake and the store; how many there were in the lake."""
    with _alone(config):
        changes = daily_writing.remove(config, pc.field("participant") == participant)
        copy_to_store(config, daily.months(config), datetime.now(UTC))
    return sum(one.before - one.rows for one in changes)


def shown(
    config: Settings, participant: str | None, since: date | None, until: date | None, *, by_source: bool
) -> pa.Table:
    """Daily records with what is derived from them: of all sources merged, or of each."""
    # 28 days of rolling values and a week of change come before
    before = since - timedelta(days=35) if since and since > _NO_EARLIER else None
    days = daily.read(config, before, until, participants=None if participant is None else [participant])
    if not by_source:
        # one series a participant, whichever source a day is of
        days = merged(days)
        source = days.column("source")
        days = _with_source(days, pa.repeat(pa.scalar("merged"), len(days)))
        made = with_derived(days)
        made = _with_source(made, source)
    else:
        made = with_derived(days)
    return made if since is None else made.filter(pc.field("date") >= since)


def _with_source(days: pa.Table, source: pa.Array | pa.ChunkedArray) -> pa.Table:
    return days.set_column(days.column_names.index("source"), "source", source)


def copy_to_store(config: Settings, changed: Iterable[Month], now: datetime) -> None:
    """Copy months to the store: those that changed, and those that it lacks, as far as they are in settings.days."""
    oldest = now.date() - timedelta(days=config.days.store_days)
    with session(config, read_only=True) as connection:
        there = store.months_there(connection)
    lacking = [month for month in daily.months(config) if month not in there]
    for month in sorted({*changed, *lacking}):
        last = (month.first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        if last >= oldest:
            days = daily.read(config, max(month.first, oldest), last)
            transact(config, partial(store.replace_between, first=month.first, last=last, days=days))
    transact(config, lambda connection: store.delete_before(connection, oldest))


@contextmanager
def _alone(config: Settings, patience_seconds: float = 60) -> Iterator[None]:
    held = "daily records are being written by another process ({holder}); wait for it"
    with SessionLock(config, DAILY, "days", who="days", held=held, patience_seconds=patience_seconds):
        yield


@contextmanager
def _no_retention(config: Settings) -> Iterator[None]:
    """Nobody moves predictions to the lake meanwhile: a day on its way would be nowhere."""
    held = "`activity retention` is at work ({holder}); wait for it"
    with SessionLock(config, RETENTION, "retention", who="days build", held=held, patience_seconds=60):
        yield


def _wearers(connection: Connection, config: Settings) -> Wearers:
    zones = dict[str, str]()
    after = ""
    while several := participants.list_participants(connection, after=after):
        zones |= {one.participant: one.details.zone for one in several}
        after = several[-1].participant
    return wearers(
        config.days.zone,
        [
            Wearing(
                one.device_id, one.participant, zones[one.participant], _us(one.worn_from), _us(one.worn_to)
            )
            for one in participants.all_wear(connection)
        ],
    )


def _us(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)


def _of_spark(config: Settings, people: Wearers, first: date, last: date) -> pa.Table:
    with explained_spark(config):
        return records(spark_session(config, "days"), config, people, first, last)


def _between(
    connection: Connection, config: Settings, since: date | None, until: date | None, now: datetime
) -> list[date]:
    """The dates that are asked for, as far as there may be predictions or records of them."""
    there = [*_days_there(connection, config), *(month.first for month in daily.months(config))]
    earliest = min(there, default=now.date()) - timedelta(days=1)
    latest = now.date() + timedelta(days=1)
    return days_between(max(since or earliest, earliest), min(until or latest, latest))


def _days_there(connection: Connection, config: Settings) -> set[date]:
    """Days (UTC) that have predictions, in the store or in the lake."""
    tables = ("predictions", *taken_out(connection))
    found = {day for table in tables for day in days_within(connection, table, None, None)}
    return found | {one.day for one in predictions.days(config)}


def _written_since(
    connection: Connection, config: Settings, people: Wearers, last: datetime | None
) -> list[date]:
    """Local dates, of any zone, on which or near which a window begins that was written since the last build."""
    if last is None:
        hours = {
            day_bounds(day)[0] + timedelta(hours=k)
            for day in _days_there(connection, config)
            for k in range(24)
        }
    else:
        after = last - _SLACK
        hours = {*hours_written_since(connection, after)}
        new_in_lake = [
            one.day for one in predictions.days(config) if one.written_ns >= after.timestamp() * 1e9
        ]
        hours |= {day_bounds(day)[0] + timedelta(hours=k) for day in new_in_lake for k in range(24)}
    dates: set[date] = set()
    for hour in hours:
        us = _us(hour) or 0
        for zone in people.zones:
            dates |= {date_of(us - MARGIN_US, zone), date_of(us + HOUR_US + MARGIN_US - 1, zone)}
    return sorted(dates)


def _by_month(dates: Iterable[date]) -> Iterator[tuple[date, date]]:
    """Stretches of dates without a gap, none of which leaves its month."""
    of_month: dict[Month, list[date]] = {}
    for day in dates:
        of_month.setdefault(month_of(day), []).append(day)
    for month in sorted(of_month):
        yield from runs(of_month[month])
