"""What is derived from daily records (columns.DERIVED): ratios, means of 7 and 28 days, changes, streaks.

Over calendar days, by participant and source: a missing date is a missing value, not a shorter window.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.days.columns import ACTIVE_GOAL_MINUTES, DERIVED, ROLLED, WORN_MINUTES

_APART = 1000  # days between two series on one axis: more than a window and a week


def with_derived(days: pa.Table) -> pa.Table:
    """Daily records with the columns of DERIVED, sorted by participant, source and date.

    days : columns of columns.SCHEMA, each participant, date and source once
    """
    days = days.sort_by([(name, "ascending") for name in ("participant", "source", "date")])
    at = _axis(days)
    number = {name: _numbers(days, name) for name in (*ROLLED, "wear_minutes", "active_minutes")}
    wear, active, steps = number["wear_minutes"], number["active_minutes"], number["steps"]
    unknown = np.isnan(wear)
    made: dict[str, np.ndarray | pa.Array] = {
        "worn": pa.array(np.nan_to_num(wear) >= WORN_MINUTES, mask=unknown),
        "active_share": _ratio(active, wear),
        "kcal_per_step": _ratio(number["kcal"], steps),
        "steps_per_hour": _ratio(60 * steps, wear),
    }
    for name in ROLLED:
        for length in (7, 28):
            made[f"{name}_{length}d"] = _rolling(at, number[name], length)
    for name in ("steps", "active_minutes"):
        week = np.asarray(made[f"{name}_7d"])
        made[f"{name}_change"] = _ratio(week, _earlier(at, week, 7)) - 1
    with np.errstate(invalid="ignore"):
        made["worn_streak"] = pa.array(_streak(at, wear >= WORN_MINUTES), pa.int32())
        made["active_streak"] = pa.array(_streak(at, active >= ACTIVE_GOAL_MINUTES), pa.int32())
    for column in DERIVED:
        values = made[column.name]
        array = values if isinstance(values, pa.Array) else pa.array(values, mask=np.isnan(values))
        days = days.append_column(column.name, array)
    return days


def _axis(days: pa.Table) -> np.ndarray:
    """Days as whole numbers that rise, int64 (n,): series follow each other, too far apart to meet."""
    ordinal = np.asarray(days.column("date").cast(pa.int32()).to_numpy(), np.int64)
    if not len(ordinal):
        return ordinal
    names = pc.binary_join_element_wise(days.column("participant"), days.column("source"), "\0")
    series = np.asarray(pc.rank(names, tiebreaker="dense").to_numpy(), np.int64)
    return ordinal + series * (int(np.ptp(ordinal)) + _APART)


def _numbers(days: pa.Table, name: str) -> np.ndarray:
    return np.asarray(days.column(name).cast(pa.float64()).to_numpy(), np.float64)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """NaN where the lower one is 0 or either is unknown."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below == 0, np.nan, above / below)


def _rolling(at: np.ndarray, values: np.ndarray, length: int) -> np.ndarray:
    """Mean of the known values of the last `length` days; NaN where these are half of them or fewer."""
    known = ~np.isnan(values)
    sums, counts = (np.append(0, np.cumsum(one)) for one in (np.where(known, values, 0), known))
    until = np.arange(1, len(at) + 1)
    since = np.searchsorted(at, at - length + 1)
    count = counts[until] - counts[since]
    mean = _ratio(sums[until] - sums[since], count.astype(np.float64))
    # sums of a long table leave a rest behind the seventh digit
    return np.where(count > length // 2, np.round(mean, 4), np.nan)


def _earlier(at: np.ndarray, values: np.ndarray, days: int) -> np.ndarray:
    """The value so many days before; NaN where there is none."""
    if not len(at):
        return values
    place = np.minimum(np.searchsorted(at, at - days), len(at) - 1)
    return np.where(at[place] == at - days, values[place], np.nan)


def _streak(at: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Good days in a row up to each one."""
    row = np.arange(len(at))
    begins = good & ~np.concatenate([[False], good[:-1] & (np.diff(at) == 1)])[: len(at)]
    begin = np.maximum.accumulate(np.where(begins, row, 0)) if len(at) else row
    return np.where(good, row - begin + 1, 0)
