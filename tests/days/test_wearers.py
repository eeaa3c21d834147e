"""Whose windows these are, and of which of their days."""

import datetime as dt

import numpy as np
import pyarrow as pa

from activitymodule.days.local import local_day
from activitymodule.days.records import MARGIN_US, WINDOWS
from activitymodule.days.wearers import Wearing, keyed, wearers

FIRST, LAST = dt.date(2026, 3, 28), dt.date(2026, 3, 30)
HOUR = 3_600_000_000


def windows(*given):
    rows = [{"device_id": device, "start_us": us, "end_us": us + 10_000_000} for device, us in given]
    return pa.Table.from_pylist(rows, WINDOWS)


def test_every_window_is_in_the_days_whose_margins_hold_it():
    zone = "Europe/Berlin"
    days = [local_day(FIRST + dt.timedelta(n), zone) for n in range(3)]
    rng = np.random.default_rng(1)
    start = days[0].start_us - 3 * HOUR + rng.integers(0, 80 * HOUR, 500)
    start = np.append(
        start, [days[1].start_us - MARGIN_US, days[1].start_us - MARGIN_US - 1, days[2].end_us + MARGIN_US]
    )
    made = keyed(windows(*(("w", int(us)) for us in start)), wearers(zone, []), FIRST, LAST)
    got = sorted(zip(made["start_us"].to_pylist(), made["date"].to_pylist(), strict=True))
    expected = sorted(
        (int(us), day.date)
        for us in start
        for day in days
        if day.start_us - MARGIN_US <= us < day.end_us + MARGIN_US
    )
    assert got == expected
    assert set(made["participant"].to_pylist()) == {"w"}


def test_a_watch_that_changes_hands_and_a_person_with_two_watches():
    noon = local_day(FIRST, "UTC").start_us + 12 * HOUR
    people = wearers(
        "UTC",
        [
            Wearing("w1", "anna", "Asia/Tokyo", None, noon),
            Wearing("w1", "ben", "UTC", noon + HOUR),
            Wearing("w2", "ben", "UTC"),
        ],
    )
    assert people.zones == ["Asia/Tokyo", "UTC"]
    given = [("w1", noon - 1), ("w1", noon), ("w1", noon + HOUR), ("w2", noon), ("w3", noon)]
    made = keyed(windows(*given), people, FIRST, LAST).to_pylist()
    whose = {(row["device_id"], row["start_us"]): (row["participant"], row["zone"]) for row in made}
    assert whose == {
        ("w1", noon - 1): ("anna", "Asia/Tokyo"),
        ("w1", noon): ("w1", "UTC"),
        ("w1", noon + HOUR): ("ben", "UTC"),
        ("w2", noon): ("ben", "UTC"),
        ("w3", noon): ("w3", "UTC"),
    }
    assert keyed(WINDOWS.empty_table(), people, FIRST, LAST).num_rows == 0
