"""The size study: forests of one seed, their files, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from activitymodule.behaviour import sizes, workouts
from activitymodule.behaviour.grid import DayGrid

SHIPPED = sizes.Recipe("shipped", "arrays", 3, 8, 5)


def test_the_first_trees_of_a_forest_are_the_forest_of_so_many_trees() -> None:
    dice = np.random.default_rng(1)
    X, y = dice.normal(size=(200, 3)), dice.normal(size=200)
    whole = RandomForestRegressor(9, random_state=4).fit(X, y)
    np.testing.assert_array_equal(
        sizes._first(whole, 4).predict(X), RandomForestRegressor(4, random_state=4).fit(X, y).predict(X)
    )
    assert len(whole.estimators_) == 9


def test_what_ships_is_smaller_and_judged_against_the_unbounded_forest(grid: DayGrid, tmp_path: Path) -> None:
    rows = workouts.rows_of(grid, "calories")
    found = sizes.study(rows, tmp_path, [sizes.Recipe("unbounded", "joblib", 30, None, 1), SHIPPED])
    whole, ships = found.forests
    assert (whole.shipped, ships.shipped) == (False, True)
    assert whole.nodes > 20 * ships.nodes > 0
    assert whole.file_megabytes > 10 * ships.file_megabytes > 0
    assert whole.load_megabytes > ships.load_megabytes >= 0
    assert found.passes == (ships.r2 >= whole.r2 - sizes.LEAST_R2_LOSS)
    assert list(tmp_path.iterdir()) == []
    assert len(found.table()[0]) == len(sizes.COLUMNS)
