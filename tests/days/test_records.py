"""Windows of a person-day to a daily record."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.days.columns import SCHEMA
from activitymodule.days.local import local_day
from activitymodule.days.records import WINDOWS, day_record
from activitymodule.days.wear import worn

INACTIVE = ("sitting", "standing")
DAY = local_day(dt.date(2026, 6, 10), "Europe/Berlin")
S = 1_000_000


def windows(hour, minutes, activity="sitting", device="w1", day=DAY, **values):
    """Windows of 10 s from an hour of the day on; values : of other columns, one for all."""
    n = round(minutes * 6)
    start = day.start_us + round(hour * 3600) * S + np.arange(n) * 10 * S
    rows = {
        "device_id": [device] * n,
        "start_us": start,
        "end_us": start + 10 * S,
        "activity": [activity] * n,
    }
    given = {"kcal_per_min": 1.5, "coverage": 1.0, "readings": 100, "spread": 0.1, **values}
    rows |= {name: pa.array([value] * n, WINDOWS.field(name).type) for name, value in given.items()}
    return pa.table(
        [rows.get(name, pa.nulls(n, kind)) for name, kind in zip(WINDOWS.names, WINDOWS.types, strict=True)],
        schema=WINDOWS,
    )


def record(*tables, day=DAY):
    made = day_record(pa.concat_tables(tables) if tables else WINDOWS.empty_table(), "p1", day, INACTIVE)
    if made is not None:
        pa.Table.from_pylist([made], SCHEMA)  # fits the schema
    return made


def test_a_plain_day():
    made = record(
        windows(8, 60, steps=1.0, heart=60.0, movement=0.02),
        windows(9, 30, "walking", kcal_per_min=4.0, steps=17.0, heart=100.0, movement=0.2),
        windows(9.5, 30, "standing", steps=0.0, heart=70.0, movement=0.02),
    )
    assert made["wear_minutes"] == 120
    assert made["minutes"] == [("sitting", 60.0), ("standing", 30.0), ("walking", 30.0)]
    assert dict(made["bouts"]) == {"sitting": 1, "standing": 1, "walking": 1}
    assert made["active_minutes"] == 30
    assert made["hours_active"][9] == 30
    assert sum(made["hours_active"]) == 30
    assert (made["workout"], made["workout_minutes"], made["workout_kcal"]) == ("walking", 30, 120)
    assert made["steps"] == 60 * 6 + 30 * 6 * 17
    assert made["kcal"] == 90 * 1.5 + 30 * 4
    assert (made["heart_resting"], made["heart_max"]) == (60, 100)
    assert made["heart_mean"] == pytest.approx((60 * 60 + 100 * 30 + 70 * 30) / 120, abs=1e-3)
    assert made["intensity"] == pytest.approx(0.065, abs=1e-3)
    assert made["completeness"] == pytest.approx(2 / 24, abs=1e-4)
    assert made["first_wear"] == dt.datetime(2026, 6, 10, 6, tzinfo=dt.UTC)
    assert made["last_wear"] == dt.datetime(2026, 6, 10, 8, tzinfo=dt.UTC)


def test_what_is_not_known_is_null_and_not_zero():
    made = record(windows(8, 10, spread=None))
    assert all(made.get(name) is None for name in ("steps", "heart_mean", "intensity"))
    assert made["workout_minutes"] == 0
    of_archive = record(windows(8, 10, None, kcal_per_min=None, readings=None, steps=2.0))
    assert (of_archive["steps"], of_archive["kcal"], of_archive.get("minutes")) == (120, None, None)
    assert record() is None


def test_a_watch_on_the_table_is_not_worn():
    made = record(windows(1, 120, spread=0.002), windows(7, 1), windows(7.1, 59, spread=0.002))
    assert made["wear_minutes"] == 60  # still for less than an hour: a person may sit so
    assert made["completeness"] == pytest.approx(180 / 1440, abs=1e-4)
    nothing = record(windows(1, 120, spread=0.002))
    assert (nothing["wear_minutes"], nothing["active_minutes"], nothing["minutes"]) == (0, 0, [])
    assert nothing["first_wear"] is None


def test_an_episode_of_stillness_reaches_over_midnight():
    evening = windows(23.5, 30, spread=0.002)
    assert record(evening)["wear_minutes"] == 30
    assert record(evening, windows(24, 40, spread=0.002))["wear_minutes"] == 0


def test_stillness_that_a_movement_interrupts():
    still = np.array([0.001] * 6 + [0.2] + [0.001] * 12)
    start = np.arange(19) * 600 * S
    assert worn(start, start + 600 * S, still).tolist() == [False] * 6 + [True] + [False] * 12
    assert worn(start, start + 500 * S, np.full(19, np.nan)).all()
    assert worn(start[:0], start[:0], still[:0]).tolist() == []


def test_several_watches_do_not_count_twice():
    left = windows(8, 60, "walking", steps=10.0)
    right = windows(8, 60, "walking", "w2", steps=11.0, coverage=0.9)
    made = record(right, left)
    assert (made["steps"], made["wear_minutes"]) == (3600, 60)
    lying = windows(8, 60, "sitting", "w0", steps=0.0, spread=0.001)
    assert record(lying, right)["steps"] == 3960  # the one that is worn
    assert record(left, windows(9, 60, "walking", "w2", steps=11.0))["wear_minutes"] == 120


def test_a_window_of_predictions_and_of_the_archive_is_one_and_the_better_prediction_counts():
    worse = windows(8, 10, "sitting", readings=40, spread=None)
    better = windows(8, 10, "walking", readings=99, spread=None)
    archived = windows(8, 10, None, kcal_per_min=None, readings=None, steps=3.0)
    made = record(archived, worse, better, worse)
    assert (made["steps"], made["minutes"]) == (180, [("walking", 10.0)])
    assert made == record(better, worse, archived)


def test_bouts_and_the_main_workout():
    made = record(
        windows(8, 4, "walking"),
        windows(8 + 4.2 / 60, 4, "walking"),  # 12 s later: the same bout
        windows(9, 0.5, "walking"),  # too short for a bout
        windows(10, 12, "stairs"),
        windows(10 + 13.5 / 60, 5, "jogging"),  # 1.5 minutes later: the same session
        windows(11, 9, "jogging"),  # too short for a session
    )
    assert dict(made["bouts"]) == {"walking": 1, "stairs": 1, "jogging": 2}
    assert (made["workout"], made["workout_minutes"]) == ("stairs", 17)
    now_and_then = [windows(8 + minute / 60, 0.5, "walking") for minute in range(60)]
    assert record(*now_and_then)["workout"] is None  # active for half of the time


def test_a_bout_belongs_to_the_day_on_which_it_begins():
    over = [windows(-0.1, 6, "walking"), windows(0, 6, "walking")]
    made = record(*over)
    assert (dict(made["bouts"]), dict(made["minutes"])) == ({"walking": 0}, {"walking": 6})
    late = record(windows(24 - 0.5 / 60, 0.5, "walking"), windows(24, 5, "walking"))
    assert (dict(late["bouts"]), dict(late["minutes"])) == ({"walking": 1}, {"walking": 0.5})


@pytest.mark.parametrize(("date", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_days_on_which_the_clock_changes(date, hours):
    day = local_day(dt.date.fromisoformat(date), "Europe/Berlin")
    whole = record(windows(-2, (hours + 4) * 60, "walking", day=day), day=day)
    assert (whole["hours"], whole["wear_minutes"], whole["completeness"]) == (hours, hours * 60, 1)
    assert whole["hours_active"] == [60.0] * hours


def test_windows_that_overlap_count_their_time_once():
    half = windows(8, 10, "walking")
    shifted = half.set_column(1, "start_us", pa.array(half["start_us"].to_numpy() + 5 * S))
    shifted = shifted.set_column(2, "end_us", pa.array(half["end_us"].to_numpy() + 5 * S))
    assert record(half, shifted)["wear_minutes"] == pytest.approx(10 + 5 / 60, abs=1e-3)
