"""Local days: where they begin in a time zone, and wall-clock times as instants, for whole arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from activitymodule.days.local import midnights_us

_QUARTER = 900  # s: no zone changes its offset between quarters of an hour
_GUESSED = ("Europe/", "America/", "Asia/", "Australia/", "Pacific/", "Africa/", "Atlantic/", "Indian/")


def day_starts(first: date, count: int, zone: ZoneInfo) -> np.ndarray:
    """Begin of `count` local days from `first`, and of the one after them: float64 (count + 1,), seconds (UTC)."""
    return midnights_us(first, first + timedelta(days=count - 1), zone.key) / 1e6


def date_of(seconds: float, zone: ZoneInfo) -> date:
    """The local date of an instant."""
    return datetime.fromtimestamp(seconds, zone).date()


def instants(wall: np.ndarray, zone: ZoneInfo) -> np.ndarray:
    """Wall-clock times as instants: float64 (n,), both in seconds since 1970.

    A time that the clock shows twice is the first of the two; one that it skips lies an hour later.
    """
    quarters, place = np.unique(np.floor(wall / _QUARTER).astype(np.int64), return_inverse=True)
    epoch = datetime(1970, 1, 1)
    offsets = [
        (epoch + timedelta(seconds=int(quarter) * _QUARTER)).replace(tzinfo=zone).utcoffset()
        for quarter in quarters
    ]
    return wall - np.array([(offset or timedelta()).total_seconds() for offset in offsets])[place]


def inferred(offsets: Mapping[tuple[str, int], int]) -> str | None:
    """A zone name from offsets as an export writes them, or None where none has them.

    offsets : by month (2024-03) and offset (s), how many records. One offset alone is a zone without summer time;
    of several zones with these offsets the first by region and name, since all of them have the same days.
    """
    by_offset: Counter[int] = Counter()
    for (_, offset), count in offsets.items():
        by_offset[offset] += count
    if not by_offset:
        return None
    if len(by_offset) == 1:
        hours, rest = divmod(next(iter(by_offset)), 3600)
        if rest == 0 and -14 <= -hours <= 12:
            return f"Etc/GMT{-hours:+d}" if hours else "UTC"
    months: dict[str, set[int]] = {}
    for (month, offset), _ in offsets.items():
        months.setdefault(month, set()).add(offset)
    names = sorted(
        (name for name in available_timezones() if name.startswith(_GUESSED)),
        key=lambda name: (next(k for k, region in enumerate(_GUESSED) if name.startswith(region)), name),
    )
    return next((name for name in names if _fits(ZoneInfo(name), months)), None)


def _fits(zone: ZoneInfo, months: Mapping[str, set[int]]) -> bool:
    for month, offsets in months.items():
        year, number = (int(part) for part in month.split("-"))
        first = datetime(year, number, 1, tzinfo=UTC)
        shown = {
            int((moment.astimezone(zone).utcoffset() or timedelta()).total_seconds())
            for moment in (first, first + timedelta(days=14), first + timedelta(days=27, hours=23))
        }
        if not offsets <= shown:
            return False
    return True
