"""Workout type and calories: on people held out, without inputs that give the answer away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from activitymodule.behaviour import workouts
from activitymodule.behaviour.grid import DayGrid
from activitymodule.behaviour.intervals import over_people
from activitymodule.errors import NotEnoughDataError
from activitymodule.models import export

SMALL = {"forest": {"trees": 8, "depth": 8}, "lightgbm": {"rounds": 80, "learning_rate": 0.1}}


@pytest.mark.parametrize("family", workouts.FAMILIES)
def test_the_type_is_learnt_from_other_people(grid: DayGrid, family: workouts.Family) -> None:
    rows = workouts.rows_of(grid, "type")
    assert not [name for name in rows.columns if name.startswith(("minutes_", "bouts"))]
    report, predicted = workouts.evaluate(rows, family, folds=2, **SMALL[family])
    assert report.data == "synthetic"
    assert report.figures["accuracy"].value == pytest.approx(np.mean(predicted == rows.y))
    assert report.figures["accuracy"].low > 0.6
    assert set(report.by_label) == {"cycling", "running", "swimming", "walking"}


@pytest.mark.parametrize("family", workouts.FAMILIES)
def test_calories_by_body_mass_and_workout(grid: DayGrid, family: workouts.Family) -> None:
    dice = np.random.default_rng(0)
    # the made-up energy goes by a mass that the records do not have
    body = {"weight_kg": np.nanmedian(grid["kcal"], 1) / 20 + dice.normal(0, 1, len(grid.people))}
    rows = workouts.rows_of(grid, "calories", body)
    assert not {"kcal", "workout_kcal"} & {*rows.columns}
    report, predicted = workouts.evaluate(rows, family, folds=3, **SMALL[family])
    residual = np.square(rows.y - predicted)
    assert report.figures["r2"].value == pytest.approx(
        1 - residual.sum() / np.square(rows.y - rows.y.mean()).sum()
    )
    assert report.figures["rmse"].value == pytest.approx(np.sqrt(residual.mean()))
    assert report.figures["r2"].value > 0.3


def test_recorded_days_without_workouts_have_calories_only(grid: DayGrid) -> None:
    recorded = replace(grid, workout=np.full(grid.workout.shape, None, object), synthetic=False)
    rows = workouts.rows_of(recorded, "calories")
    assert len(rows) == int(recorded.worn().sum())
    assert workouts.evaluate(rows, "lightgbm", folds=2, rounds=5)[0].data == "recorded"
    with pytest.raises(NotEnoughDataError):
        workouts.rows_of(recorded, "type")


def test_intervals_draw_whole_people() -> None:
    """Two people, one always right: no resample of rows could give the bounds 0 and 1."""
    counts = np.array([[100.0, 100.0], [0.0, 100.0]])
    found = over_people(counts, lambda sums: sums[..., 0] / sums[..., 1])
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


@pytest.mark.parametrize("family", workouts.FAMILIES)
def test_a_pipeline_that_saw_missing_numbers_comes_back_from_its_file(
    grid: DayGrid, family: workouts.Family
) -> None:
    rows = workouts.rows_of(grid, "calories")
    rows.X[::7, rows.columns.index("heart_mean")] = np.nan
    fitted = workouts.pipeline_of(rows, family, **SMALL[family]).fit(rows.X, rows.y)
    again = export.load(export.dump(fitted), "a model")
    export.check(again)
    np.testing.assert_array_equal(again.predict(rows.X), fitted.predict(rows.X))
