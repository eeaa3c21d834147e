"""Daily records as a grid, and the behaviour of a person from days whose answer is known."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.behaviour.grid import grid_of
from activitymodule.behaviour.person import NAMES, behaviour
from activitymodule.days.columns import SCHEMA
from activitymodule.errors import DataError, NotEnoughDataError

MONDAY = date(2026, 1, 5)


def record(participant: str, day: int, **more: object) -> dict[str, object]:
    own = {
        "participant": participant,
        "date": MONDAY + timedelta(days=day),
        "source": "devices",
        "zone": "UTC",
    }
    return {**own, "hours": 24.0, "wear_minutes": 800.0, "workout_minutes": 0.0, "workout_kcal": 0.0, **more}


def workout(kind: str, minutes: float = 30.0, kcal: float = 280.0) -> dict[str, object]:
    return {"workout": kind, "workout_minutes": minutes, "workout_kcal": kcal}


def table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


def test_a_grid_has_each_value_in_its_place_and_nothing_where_there_is_no_record() -> None:
    rows = [
        record("b", 0, steps=10.0, minutes=[("walking", 5.0)], hours_active=[0.0] * 24 + [7.0]),
        record("a", 2, steps=30.0, wear_minutes=None),
        record("a", 2, steps=20.0, wear_minutes=700.0, source="fitbit"),
    ]
    grid = grid_of(table(rows))
    assert grid.people == ("a", "b")
    assert (grid.days, grid.last) == (3, MONDAY + timedelta(days=2))
    np.testing.assert_array_equal(grid["steps"], [[np.nan, np.nan, 20], [10, np.nan, np.nan]])
    assert grid.minutes["walking"][1, 0] == 5.0
    assert np.isnan(grid.minutes["walking"][0, 2])
    assert grid.hours[1, 0, 23] == 7.0  # the 25th hour
    assert not grid.synthetic
    assert grid.until(1).last == MONDAY + timedelta(days=1)


def test_extra_columns_are_kept() -> None:
    rows = table([record("a", k) for k in range(3)]).append_column("mood", pa.array(["x", None, "y"]))
    assert grid_of(rows).extras["mood"].tolist() == [["x", None, "y"]]


def test_behaviour_of_days_whose_answer_is_known() -> None:
    """Four weeks: runs on each Saturday and Sunday, rides on Mondays but not in the last week."""
    rows = []
    for day in range(28):
        kind = "running" if day % 7 >= 5 else "cycling" if day % 7 == 0 and day < 21 else None
        rows.append(record("p", day, **(workout(kind) if kind else {})))
    found = dict(zip(NAMES, behaviour(grid_of(table(rows))).X[0], strict=True))
    assert found["recency"] == 0.0
    assert found["frequency"] == pytest.approx(7 * 11 / 28)
    assert found["energy"] == pytest.approx(280 * 11 / 28)
    share = np.array([8, 3]) / 11
    assert found["variety"] == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert found["rhythm"] == pytest.approx((8 + 4 / 7) / 13)
    weeks = np.array([90, 90, 90, 60]) / 7
    assert found["steadiness"] == pytest.approx(1 / (1 + weeks.std() / weeks.mean()))


def test_days_without_wear_change_recency_and_nothing_else() -> None:
    active = [record("p", day, **workout("running")) for day in range(14)]
    away = [record("p", day, wear_minutes=0.0) for day in range(14, 24)]
    (before,), (after,) = (behaviour(grid_of(table(rows))).X for rows in (active, active + away))
    assert (before[0], after[0]) == (0.0, 10.0)
    np.testing.assert_allclose(before[1:4], after[1:4])


def test_tables_without_workouts_go_by_active_minutes() -> None:
    rows = [
        {
            **record("p", day),
            "workout_minutes": None,
            "workout_kcal": None,
            "active_minutes": 40.0 * (day % 2),
        }
        for day in range(28)
    ]
    found = dict(zip(NAMES, behaviour(grid_of(table(rows))).X[0], strict=True))
    assert found["frequency"] == pytest.approx(3.5)
    assert np.isnan(found["energy"])


def test_a_person_of_few_days_has_no_behaviour() -> None:
    rows = [record("new", 20)] + [record("old", day) for day in range(21)]
    assert behaviour(grid_of(table(rows))).people == ("old",)


def test_records_that_are_none_are_refused() -> None:
    with pytest.raises(NotEnoughDataError):
        grid_of(SCHEMA.empty_table())
    with pytest.raises(DataError):
        grid_of(pa.table({"participant": ["a"]}))
