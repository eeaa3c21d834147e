"""A person's behaviour over some weeks of daily records, as six numbers: what personas are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activitymodule.behaviour.grid import DayGrid
from activitymodule.days.columns import ACTIVE_GOAL_MINUTES

SPAN_DAYS = 183
"""Days of a person that count, up to the last one."""
LEAST_DAYS = 14
"""A person with fewer days of records since the first one in the span has no behaviour, and no persona."""
_WEEK_DAYS = 4  # worn days of a week, from which it counts


@dataclass(frozen=True)
class Behaviour:
    """One of the six. log : whether it is compared by its logarithm; weight : in the order of the personas"""

    name: str
    unit: str
    meaning: str
    formula: str
    log: bool = False
    weight: float = 0.0


BEHAVIOUR: tuple[Behaviour, ...] = (
    Behaviour(
        "recency",
        "days",
        "days since the last active day",
        "the days observed where there was none",
        log=True,
        weight=-1.0,
    ),
    Behaviour(
        "frequency",
        "days a week",
        "active days a week of wear",
        "7 x active days / days worn",
        log=True,
        weight=1.0,
    ),
    Behaviour(
        "energy",
        "kcal a day",
        "energy of activity a day of wear",
        "`workout_kcal` / days worn; without workouts the mean `kcal` of worn days above their 10th percentile",
        log=True,
        weight=1.0,
    ),
    Behaviour(
        "variety",
        "kinds",
        "effective number of kinds of workouts",
        "exp of the Shannon entropy of the workouts' types; without workouts of `minutes` by activity",
    ),
    Behaviour(
        "rhythm",
        "",
        "share of the active days that fall on Saturday and Sunday",
        "(active weekend days + 4/7) / (active days + 2): with few active days near 2/7, that of an even week",
    ),
    Behaviour(
        "steadiness",
        "",
        "how alike the weeks are, 0 to 1",
        f"1 / (1 + coefficient of variation of a week's active minutes a day worn), of weeks worn {_WEEK_DAYS} days",
    ),
)
ACTIVE_DAY = (
    "An active day is one with a workout. Where no record of anybody has a workout, it is a day of "
    f"{ACTIVE_GOAL_MINUTES:g} active minutes or more; its active minutes are `workout_minutes` or `active_minutes`."
)
NAMES: tuple[str, ...] = tuple(one.name for one in BEHAVIOUR)
LOGS: tuple[int, ...] = tuple(k for k, one in enumerate(BEHAVIOUR) if one.log)
ORDER: tuple[float, ...] = tuple(one.weight for one in BEHAVIOUR)


@dataclass(frozen=True)
class People:
    """The behaviour of people: X float64 (n, 6) in the order of NAMES, NaN where it cannot be told."""

    people: tuple[str, ...]
    X: np.ndarray
    synthetic: bool

    def __len__(self) -> int:
        return len(self.people)


def behaviour(grid: DayGrid, *, span: int = SPAN_DAYS, least_days: int = LEAST_DAYS) -> People:
    """The behaviour of those with enough days, over the last `span` days of the grid."""
    whole = grid
    if grid.days > span:
        begin = grid.days - span
        first = grid.date_of(begin)
        whole = DayGrid(
            grid.people,
            first,
            grid.there[:, begin:],
            {name: values[:, begin:] for name, values in grid.numbers.items()},
            {name: values[:, begin:] for name, values in grid.minutes.items()},
            grid.workout[:, begin:],
            grid.hours[:, begin:],
            {},
            grid.synthetic,
        )
    there = whole.there
    since = np.where(there.any(1), whole.days - there.argmax(1), 0)
    rows = np.flatnonzero(since >= least_days)
    chosen = whole.take(rows)
    since = since[rows]
    worn, workouts = chosen.worn(), chosen.workouts()
    known = bool(grid.workouts().any())
    minutes = np.nan_to_num(chosen["workout_minutes" if known else "active_minutes"])
    active = workouts if known else minutes >= ACTIVE_GOAL_MINUTES
    weekend = (np.arange(whole.days) + whole.first.weekday()) % 7 >= 5
    columns = (
        _recency(active, since),
        7.0 * active.sum(1) / np.maximum(worn.sum(1), 1),
        _energy(chosen, worn, known),
        _variety(chosen, known),
        (active[:, weekend].sum(1) + 4 / 7) / (active.sum(1) + 2),
        _steadiness(np.where(worn, minutes, 0.0), worn),
    )
    X = np.stack(columns, 1) if len(rows) else np.empty((0, len(NAMES)))
    return People(chosen.people, X, grid.synthetic)


def _recency(active: np.ndarray, since: np.ndarray) -> np.ndarray:
    ago = active[:, ::-1].argmax(1).astype(float)
    return np.asarray(np.where(active.any(1), ago, since))


def _energy(grid: DayGrid, worn: np.ndarray, known: bool) -> np.ndarray:
    if known:
        return np.asarray(np.nan_to_num(grid["workout_kcal"]).sum(1) / np.maximum(worn.sum(1), 1))
    kcal = np.where(worn, grid["kcal"], np.nan)
    there = ~np.isnan(kcal).all(1)
    found = np.full(len(kcal), np.nan)
    base = np.nanpercentile(kcal[there], 10, axis=1, keepdims=True)
    found[there] = np.nanmean(np.maximum(kcal[there] - base, 0.0), 1)
    return found


def _variety(grid: DayGrid, known: bool) -> np.ndarray:
    if known:
        kinds = sorted({str(one) for one in grid.workout.ravel() if one is not None})
        amounts = (
            np.array([(grid.workout == kind).sum(1) for kind in kinds], float)
            .reshape(len(kinds), len(grid.people))
            .T
        )
    elif grid.minutes:
        amounts = np.stack([np.nansum(values, 1) for values in grid.minutes.values()], 1)
    else:
        return np.full(len(grid.people), np.nan)
    total = amounts.sum(1, keepdims=True)
    share = amounts / np.maximum(total, 1e-12)
    entropy = -(share * np.log(np.maximum(share, 1e-300))).sum(1)
    return np.asarray(np.where(total[:, 0] > 0, np.exp(entropy), 0.0))


def _steadiness(minutes: np.ndarray, worn: np.ndarray) -> np.ndarray:
    """Of the last whole weeks; 0 without an active one, NaN where fewer than two count."""
    weeks = minutes.shape[1] // 7
    if weeks < 2:
        return np.full(len(minutes), np.nan)
    n = len(minutes)
    total, days = (values[:, -7 * weeks :].reshape(n, weeks, 7).sum(2) for values in (minutes, worn))
    counts = days >= _WEEK_DAYS
    week = np.where(counts, total / np.maximum(days, 1), 0.0)
    many = np.maximum(counts.sum(1), 1)
    mean = week.sum(1) / many
    sd = np.sqrt(np.where(counts, (week - mean[:, None]) ** 2, 0.0).sum(1) / many)
    steady = np.where(mean > 0, 1.0 / (1.0 + sd / np.maximum(mean, 1e-12)), 0.0)
    return np.asarray(np.where(counts.sum(1) >= 2, steady, np.nan))
