"""Local days, where clocks change and where they do not."""

import datetime as dt

import pytest

from activitymodule.days.local import date_of, local_day, midnight_us, midnights_us
from activitymodule.errors import DataError


@pytest.mark.parametrize(
    ("zone", "date", "hours", "parts"),
    [
        ("UTC", "2026-03-29", 24, 24),
        ("Europe/Berlin", "2026-03-29", 23, 23),
        ("Europe/Berlin", "2026-10-25", 25, 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5, 25),  # half an hour
        ("America/Santiago", "2026-09-06", 23, 23),  # no midnight
        ("Atlantic/Azores", "2026-10-25", 25, 25),  # two midnights
        ("Pacific/Apia", "2011-12-30", 0, 0),  # a date that was left out
        ("Asia/Kathmandu", "2026-06-01", 24, 24),
    ],
)
def test_a_day_is_as_long_as_the_clock_makes_it(zone, date, hours, parts):
    day = local_day(dt.date.fromisoformat(date), zone)
    assert (day.hours, day.parts) == (hours, parts)
    if hours:
        assert date_of(day.start_us, zone) == date_of(day.end_us - 1, zone) == day.date
        assert date_of(day.start_us - 1, zone) < day.date < date_of(day.end_us, zone)


def test_days_follow_each_other_without_a_gap():
    first, last = dt.date(2026, 3, 1), dt.date(2026, 11, 30)
    edges = midnights_us(first, last, "America/New_York")
    assert edges[0] == midnight_us(first, "America/New_York")
    assert (edges[-1] - edges[0]) / 3.6e9 == 275 * 24  # from winter to winter
    assert sorted({*((edges[1:] - edges[:-1]) / 3.6e9).tolist()}) == [23, 24, 25]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "", "\0"])
def test_a_zone_that_is_none_is_refused(zone):
    with pytest.raises(DataError):
        local_day(dt.date(2026, 1, 1), zone)
