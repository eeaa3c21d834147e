"""What is known of people at a cut: columns computed from the days up to it alone."""

from __future__ import annotations

import numpy as np

from activitymodule.behaviour.grid import DayGrid

HISTORY_DAYS = 28
_MEANS = ("wear_minutes", "active_minutes", "steps", "kcal", "completeness")


def known_at(grid: DayGrid, cut: int) -> dict[str, np.ndarray]:
    """Columns by name, float64 (n,), NaN where unknown; of the last 28 days up to day `cut` unless the name says so.

    worn_7, _14, _28: share of days worn; days_since_worn, worn_streak, longest_gap; NAME_7, NAME_28: means over worn
    days, NAME_change: their ratio - 1; wear_minutes_sd; workouts_7, _28: days with one; days_since_workout;
    heart_resting_28 and its change; weekend_worn: share of weekend days worn less that of the others; days_known: days
    since the first record of all
    """
    past = grid.until(cut)
    there, worn = past.there, past.worn()
    recent = worn[:, -HISTORY_DAYS:]
    days = there.shape[1]
    known = np.where(there.any(1), days - there.argmax(1), 0).astype(float)
    out: dict[str, np.ndarray] = {
        f"worn_{span}": worn[:, -span:].sum(1) / np.clip(known, 1, span) for span in (7, 14, 28)
    }
    out["days_known"] = known
    out["days_since_worn"] = _since(recent)
    out["worn_streak"] = _since(~recent)
    out["longest_gap"] = _longest(~recent)
    out["worn_change"] = out["worn_7"] - out["worn_28"]
    for name in _MEANS:
        week, month = (_mean(past[name][:, -span:], worn[:, -span:]) for span in (7, 28))
        out[f"{name}_7"], out[f"{name}_28"] = week, month
        with np.errstate(invalid="ignore", divide="ignore"):
            out[f"{name}_change"] = np.where(month > 0, week / month - 1, np.nan)
    out["wear_minutes_sd"] = _sd(past["wear_minutes"][:, -HISTORY_DAYS:], recent)
    workouts = past.workouts()[:, -HISTORY_DAYS:]
    out["workouts_7"] = workouts[:, -7:].sum(1).astype(float)
    out["workouts_28"] = workouts.sum(1).astype(float)
    out["days_since_workout"] = _since(workouts)
    heart = past["heart_resting"][:, -HISTORY_DAYS:]
    out["heart_resting_28"] = _mean(heart, recent)
    out["heart_resting_change"] = _mean(heart[:, -7:], recent[:, -7:]) - out["heart_resting_28"]
    weekday = (np.arange(days)[-HISTORY_DAYS:] + grid.first.weekday()) % 7
    out["weekend_worn"] = recent[:, weekday >= 5].mean(1) - recent[:, weekday < 5].mean(1)
    return out


def _since(flags: np.ndarray) -> np.ndarray:
    """Days since the last true one; the number of days where there is none."""
    return np.where(flags.any(1), flags[:, ::-1].argmax(1), flags.shape[1]).astype(float)


def _longest(flags: np.ndarray) -> np.ndarray:
    """Length of the longest run of true."""
    run = np.zeros(len(flags))
    longest = run.copy()
    for day in range(flags.shape[1]):
        run = np.where(flags[:, day], run + 1, 0.0)
        longest = np.maximum(longest, run)
    return longest


def _mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    known = where & ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(1) / known.sum(1))


def _sd(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    mean = _mean(values, where)
    return np.sqrt(_mean((values - mean[:, None]) ** 2, where))
