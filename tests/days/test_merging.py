"""Records of several sources of one day."""

import datetime as dt

import pyarrow as pa

from activitymodule.days.columns import SCHEMA
from activitymodule.days.merging import GROUPS, merged

DATE = dt.date(2026, 1, 1)


def table(*rows):
    plain = {"participant": "p", "date": DATE, "zone": "UTC", "hours": 24.0}
    return pa.Table.from_pylist([plain | row for row in rows], SCHEMA)


def test_the_source_of_most_wear_comes_first_and_others_fill_what_it_lacks():
    made = merged(
        table(
            {"source": "devices", "wear_minutes": 700.0, "minutes": [("walking", 20.0)], "kcal": 900.0},
            {"source": "fitbit", "wear_minutes": 60.0, "steps": 500.0, "kcal": 2000.0, "active_minutes": 3.0},
            {"source": "table:x", "steps": 600.0, "heart_mean": 61.0},
        )
    ).to_pylist()
    assert len(made) == 1
    assert made[0]["source"] == "devices"
    assert made[0]["kcal"] == 900  # never added
    assert made[0]["steps"] == 500
    assert made[0]["heart_mean"] == 61
    assert made[0]["active_minutes"] is None  # of one source together with minutes
    assert made[0]["minutes"] == [("walking", 20.0)]


def test_an_hour_of_a_watch_does_not_hide_a_day_of_a_phone():
    made = merged(
        table(
            {"source": "devices", "wear_minutes": 60.0, "steps": 100.0},
            {"source": "apple-health", "wear_minutes": 900.0, "steps": 9000.0},
        )
    )
    assert (made["source"][0].as_py(), made["steps"][0].as_py()) == ("apple-health", 9000)
    unknown = merged(table({"source": "table:x", "steps": 1.0}, {"source": "garmin", "steps": 2.0}))
    assert unknown["steps"].to_pylist() == [2]


def test_days_of_one_source_stay_as_they_are():
    days = table(
        {"source": "fitbit", "steps": 1.0},
        {"source": "fitbit", "steps": 2.0, "date": dt.date(2026, 1, 2)},
        {"source": "devices", "steps": 3.0, "participant": "a"},
    )
    made = merged(days)
    assert made["steps"].to_pylist() == [3, 1, 2]
    assert merged(made) == made
    assert merged(SCHEMA.empty_table()).num_rows == 0


def test_every_stored_column_has_a_group():
    grouped = {name for group in GROUPS for name in group}
    assert grouped == {*SCHEMA.names} - {"participant", "date", "source", "zone", "hours"}
