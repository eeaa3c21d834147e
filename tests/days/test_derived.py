"""What is derived from daily records, against plain loops."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.days.columns import DERIVED, SCHEMA
from activitymodule.days.derived import with_derived

FIRST = dt.date(2026, 1, 1)


def table(rows):
    plain = {"source": "devices", "zone": "UTC", "hours": 24.0, "participant": "p"}
    return pa.Table.from_pylist([plain | row for row in rows], SCHEMA)


def test_ratios_are_null_where_the_divisor_is_0_or_unknown():
    made = with_derived(
        table(
            [
                {"date": FIRST, "steps": 0.0, "kcal": 80.0, "wear_minutes": 0.0, "active_minutes": 0.0},
                {"date": FIRST + dt.timedelta(1), "steps": 40.0, "kcal": 80.0, "wear_minutes": 600.0},
                {"date": FIRST + dt.timedelta(2)},
            ]
        )
    )
    assert made["kcal_per_step"].to_pylist() == [None, 2, None]
    assert made["active_share"].to_pylist() == [None, None, None]
    assert made["steps_per_hour"].to_pylist() == [None, 4, None]
    assert made["worn"].to_pylist() == [False, True, None]
    assert made["worn_streak"].to_pylist() == [0, 1, 0]
    assert with_derived(SCHEMA.empty_table()).column_names == [*SCHEMA.names, *(c.name for c in DERIVED)]


def test_rolling_values_changes_and_streaks_are_those_of_plain_loops():
    rng = np.random.default_rng(4)
    rows = [
        {
            "participant": f"p{person}",
            "source": source,
            "date": FIRST + dt.timedelta(day),
            "steps": None if rng.random() < 0.2 else float(rng.integers(0, 3) * 1000),
            "wear_minutes": float(rng.choice([0, 700])),
            "active_minutes": float(rng.choice([10, 40])),
        }
        for person in range(3)
        for source in ("devices", "fitbit")
        for day in range(80)
        if rng.random() < 0.85
    ]
    made = with_derived(table([rows[i] for i in rng.permutation(len(rows))])).to_pylist()
    of = {(row["participant"], row["source"], row["date"]): row for row in made}

    def mean(row, name, days, back=0):
        keys = [row["date"] - dt.timedelta(back + k) for k in range(days)]
        found = [of.get((row["participant"], row["source"], key), {}).get(name) for key in keys]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if len(known) > days // 2 else None

    def streak(row, good):
        count = 0
        while row is not None and good(row):
            count += 1
            row = of.get((row["participant"], row["source"], row["date"] - dt.timedelta(1)))
        return count

    changes = 0
    for row in made:
        for days in (7, 28):
            assert row[f"steps_{days}d"] == (
                None if (expected := mean(row, "steps", days)) is None else pytest.approx(expected, abs=1e-3)
            )
        assert row["worn_streak"] == streak(row, lambda one: one["wear_minutes"] >= 600)
        assert row["active_streak"] == streak(row, lambda one: one["active_minutes"] >= 30)
        week_before = of.get((row["participant"], row["source"], row["date"] - dt.timedelta(7)))
        if row["steps_7d"] is None or week_before is None or not week_before["steps_7d"]:
            assert row["steps_change"] is None
        else:
            changes += 1
            assert row["steps_change"] == pytest.approx(row["steps_7d"] / week_before["steps_7d"] - 1)
    assert changes > 50
