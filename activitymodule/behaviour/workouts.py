"""Models of a workout day: the type of the main workout, and the day's calories.

`minutes` and `bouts` by activity name the workout, so the type is predicted without them; the calories without
`workout_kcal`, which is a part of what is predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from activitymodule.behaviour.boosted import BoostedClassifier
from activitymodule.behaviour.forest import ForestClassifier, ForestRegressor
from activitymodule.behaviour.grid import DayGrid
from activitymodule.behaviour.intervals import Figure, over_people
from activitymodule.errors import NotEnoughDataError
from activitymodule.models.energy import BoostedTrees

Target = Literal["type", "calories"]
Family = Literal["forest", "lightgbm"]
FAMILIES: tuple[Family, ...] = ("forest", "lightgbm")
FOLDS = 5
LEAST_PEOPLE = 5
LEAST_ROWS = 100

_BOTH = (
    "hours",
    "wear_minutes",
    "completeness",
    "active_minutes",
    "workout_minutes",
    "steps",
    "heart_resting",
    "heart_mean",
    "heart_max",
    "intensity",
)
_OF_TYPE = ("workout_kcal", "kcal")
_DERIVED = ("peak_hour", "peak_share", "active_hours")
WEEKDAY, WORKOUT = "weekday", "workout"
BODY = ("age_years", "height_cm", "weight_kg", "resting_heart_rate_bpm", "female")


@dataclass(frozen=True)
class Rows:
    """Days to learn from: X float64 (n, n_columns), NaN where missing; y : codes of `labels`, or kcal (n,).

    `weekday` (0 Monday) and, for calories, `workout` (its place in `kinds`) are codes.
    person : place of the person (n,)
    """

    target: Target
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    labels: tuple[str, ...]
    X: np.ndarray
    y: np.ndarray
    person: np.ndarray
    synthetic: bool

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: np.ndarray) -> Rows:
        """Some of the days."""
        return Rows(
            self.target,
            self.columns,
            self.kinds,
            self.labels,
            self.X[rows],
            self.y[rows],
            self.person[rows],
            self.synthetic,
        )


def rows_of(grid: DayGrid, target: Target, body: Mapping[str, np.ndarray] | None = None) -> Rows:
    """The days of a grid to learn from: with a workout where any has one; else, for calories, all worn days.

    body : BODY column -> float64 (n_people,), NaN where unknown; an input of the calories
    Raises NotEnoughDataError where there are too few days or people.
    """
    workouts = grid.workouts()
    if target == "type":
        chosen, value = workouts, np.zeros(workouts.shape)
    else:
        chosen, value = (workouts if workouts.any() else grid.worn()), grid["kcal"]
    person, day = np.nonzero(chosen & ~np.isnan(value))
    if len(person) < LEAST_ROWS or len(np.unique(person)) < LEAST_PEOPLE:
        what = "days with a workout" if target == "type" else "worn days with calories"
        raise NotEnoughDataError(
            f"{len(person)} {what} of {len(np.unique(person))} people are too few to learn from; "
            f"{LEAST_ROWS} days of {LEAST_PEOPLE} people are needed"
        )
    kinds = tuple(sorted({str(one) for one in grid.workout[person, day] if one is not None}))
    code = {kind: float(k) for k, kind in enumerate(kinds)}
    kind = np.array([code.get(one, np.nan) for one in grid.workout[person, day]])
    columns = [(name, grid[name][person, day]) for name in _BOTH + (_OF_TYPE if target == "type" else ())]
    columns += zip(_DERIVED, _of_hours(grid.hours[person, day]), strict=True)
    if target == "calories":
        columns += [(f"minutes_{name}", values[person, day]) for name, values in grid.minutes.items()]
        columns += [(name, values[person]) for name, values in (body or {}).items()]
    columns.append((WEEKDAY, (day + grid.first.weekday()) % 7.0))
    if target == "calories":
        columns.append((WORKOUT, kind))
    if target == "type" and len(kinds) < 2:
        raise NotEnoughDataError("all workouts are of one type; there is nothing to tell apart")
    return Rows(
        target,
        tuple(name for name, _ in columns),
        kinds,
        kinds if target == "type" else (),
        np.stack([values for _, values in columns], 1).astype(np.float64),
        kind.astype(int) if target == "type" else value[person, day],
        person,
        grid.synthetic,
    )


def _of_hours(hours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hour of the most activity, its share, and hours with ten active minutes or more; hours (n, 24)."""
    known = ~np.isnan(hours).all(1)
    filled = np.nan_to_num(hours).astype(np.float64)
    total = filled.sum(1)
    some = known & (total > 0)
    peak = np.where(some, filled.argmax(1), np.nan)
    share = np.where(some, filled.max(1) / np.maximum(total, 1e-9), np.nan)
    return peak, share, np.where(known, (filled >= 10).sum(1), np.nan)


def pipeline_of(rows: Rows, family: Family, seed: int = 0, **parameters: float | int | None) -> Pipeline:
    """A whole pipeline: medians for what is missing (and that it was), one-hot codes, model.

    LightGBM takes missing numbers as they are.
    """
    codes = {WEEKDAY: 7, WORKOUT: len(rows.kinds)}
    numbers = [k for k, name in enumerate(rows.columns) if name not in codes]
    fill = (
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        if family == "forest"
        else "passthrough"
    )
    parts: list[tuple[str, object, list[int]]] = [("numbers", fill, numbers)]
    for name, count in codes.items():
        if name in rows.columns and count:
            encoder = OneHotEncoder(
                categories=[np.arange(count, dtype=np.float64)], handle_unknown="ignore", sparse_output=False
            )
            parts.append((name, encoder, [rows.columns.index(name)]))
    return Pipeline([("encode", ColumnTransformer(parts)), ("model", _model(rows, family, seed, parameters))])


def _model(rows: Rows, family: Family, seed: int, parameters: Mapping[str, float | int | None]) -> object:
    kind = {
        ("type", "forest"): ForestClassifier,
        ("type", "lightgbm"): BoostedClassifier,
        ("calories", "forest"): ForestRegressor,
        ("calories", "lightgbm"): BoostedTrees,
    }[rows.target, family]
    own: dict[str, float | int | None] = {}
    if kind is BoostedTrees:
        # by kilogram where the mass is known; the numbers stand first, so it keeps its place
        numbers = [name for name in rows.columns if name not in (WEEKDAY, WORKOUT)]
        known = "weight_kg" in numbers
        own = {"mass_column": numbers.index("weight_kg")} if known else {"usual_mass_kg": 1.0}
    return kind(**{**SHIPPED[rows.target, family], **own, **parameters}, seed=seed)


SHIPPED: Mapping[tuple[Target, Family], Mapping[str, float | int | None]] = {
    ("type", "forest"): {"trees": 60, "depth": 16, "least_rows_a_leaf": 5},
    ("calories", "forest"): {"trees": 60, "depth": 16, "least_rows_a_leaf": 5},
    ("type", "lightgbm"): {"rounds": 150, "leaves": 15},
    ("calories", "lightgbm"): {"rounds": 300, "leaves": 15},
}
"""Parameters of what is registered; chosen by the size study (`activity behaviour sizes`)."""


@dataclass(frozen=True)
class WorkoutReport:
    """Figures of one family on people held out, with 95 % intervals over people.

    figures : accuracy and macro_f1, or r2, rmse (kcal) and mae (kcal); by_label : F1 of each type; data : 'synthetic'
    where any record is of a synthesised person, else 'recorded'
    """

    target: Target
    family: Family
    data: str
    rows: int
    people: int
    folds: int
    figures: dict[str, Figure]
    by_label: dict[str, float]


def evaluate(
    rows: Rows, family: Family, *, folds: int = FOLDS, seed: int = 0, **parameters: float | int | None
) -> tuple[WorkoutReport, np.ndarray]:
    """The report by folds of whole people, and the held-out predictions (codes, or kcal)."""
    people = len(np.unique(rows.person))
    predicted = np.zeros(len(rows), rows.y.dtype)
    folds = min(folds, people)
    for train, test in GroupKFold(folds).split(rows.X, groups=rows.person):
        model = pipeline_of(rows, family, seed, **parameters).fit(rows.X[train], rows.y[train])
        predicted[test] = model.predict(rows.X[test])
    found = figures_of(rows, predicted)
    report = WorkoutReport(
        rows.target,
        family,
        "synthetic" if rows.synthetic else "recorded",
        len(rows),
        people,
        folds,
        found,
        _by_label(rows, predicted),
    )
    return report, predicted


def figures_of(rows: Rows, predicted: np.ndarray) -> dict[str, Figure]:
    """Figures of held-out predictions with intervals over people."""
    y, person = rows.y, rows.person
    if rows.target == "type":
        n = len(rows.labels)
        cells = y * n + predicted
        counts = np.stack([np.bincount(cells[person == p], minlength=n * n) for p in np.unique(person)])
        return {
            "accuracy": over_people(counts, lambda sums: _diagonal(sums, n).sum(-1) / sums.sum(-1)),
            "macro_f1": over_people(counts, lambda sums: _macro_f1(sums, n)),
        }
    sums = np.stack([np.ones(len(y)), y, y**2, (y - predicted) ** 2, np.abs(y - predicted)], 1)
    _, place = np.unique(person, return_inverse=True)
    by_person = np.stack([np.bincount(place, column) for column in sums.T], 1)
    return {
        "r2": over_people(by_person, lambda s: 1 - s[..., 3] / (s[..., 2] - s[..., 1] ** 2 / s[..., 0])),
        "rmse": over_people(by_person, lambda s: np.sqrt(s[..., 3] / s[..., 0])),
        "mae": over_people(by_person, lambda s: s[..., 4] / s[..., 0]),
    }


def _diagonal(sums: np.ndarray, n: int) -> np.ndarray:
    return np.diagonal(sums.reshape(*sums.shape[:-1], n, n), axis1=-2, axis2=-1)


def _f1(sums: np.ndarray, n: int) -> np.ndarray:
    matrix = sums.reshape(*sums.shape[:-1], n, n)
    both = matrix.sum(-1) + matrix.sum(-2)
    return np.asarray(2 * _diagonal(sums, n) / np.maximum(both, 1))


def _macro_f1(sums: np.ndarray, n: int) -> np.ndarray:
    return _f1(sums, n).mean(-1)


def _by_label(rows: Rows, predicted: np.ndarray) -> dict[str, float]:
    if rows.target != "type":
        return {}
    n = len(rows.labels)
    found = _f1(np.bincount(rows.y * n + predicted, minlength=n * n).astype(float), n)
    return dict(zip(rows.labels, map(float, found), strict=True))


def best(reports: Sequence[WorkoutReport]) -> WorkoutReport:
    """The report of the higher accuracy or R2; the forest of two alike."""
    key = "accuracy" if reports[0].target == "type" else "r2"
    return max(reports, key=lambda one: (one.figures[key].value, one.family == "forest"))
