"""Local days: from midnight to midnight in a time zone, 23 or 25 hours long where the clock changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from activitymodule.errors import DataError

HOUR_US = 3_600_000_000
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class LocalDay:
    """A date in a time zone; start_us (included) and end_us (not included) in UTC microseconds."""

    date: date
    zone: str
    start_us: int
    end_us: int

    @property
    def hours(self) -> float:
        """Its length; 0 for a date that a zone left out."""
        return (self.end_us - self.start_us) / HOUR_US

    @property
    def parts(self) -> int:
        """The number of its hours, the last of which may be half a one."""
        return -(-(self.end_us - self.start_us) // HOUR_US)


@cache
def zone_info(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises DataError where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise DataError(f"{name!a} is no time zone; give an IANA name, such as Europe/Berlin") from error


def midnight_us(day: date, zone: str) -> int:
    """When a date begins in a zone, UTC microseconds; of two midnights the first, of none the moment of the change."""
    begin = datetime.combine(day, time(), zone_info(zone))
    return (begin.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def local_day(day: date, zone: str) -> LocalDay:
    """A date in a zone. Raises DataError for an unknown zone."""
    return LocalDay(day, zone, midnight_us(day, zone), midnight_us(day + timedelta(days=1), zone))


def days_between(first: date, last: date) -> list[date]:
    """All dates, both included."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


@lru_cache(64)
def midnights_us(first: date, last: date, zone: str) -> np.ndarray:
    """Where these dates begin, and the last of them ends: int64 ndarray of shape (dates + 1,), not to be changed."""
    return np.array(
        [midnight_us(day, zone) for day in days_between(first, last + timedelta(days=1))], np.int64
    )


def date_of(us: int, zone: str) -> date:
    """The local date of a moment."""
    return (_EPOCH + timedelta(microseconds=us)).astimezone(zone_info(zone)).date()
