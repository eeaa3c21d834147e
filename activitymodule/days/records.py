"""The windows of one person and day to one daily record (columns.py has what each column means).

A person may wear several watches: of windows that begin at the same time one counts, a worn one first, then the one
of the greatest coverage. So nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa

from activitymodule.days.local import HOUR_US, LocalDay
from activitymodule.days.wear import NON_WEAR_US, worn

WINDOWS = pa.schema(
    {
        "device_id": pa.string(),
        "start_us": pa.int64(),  # UTC microseconds
        "end_us": pa.int64(),
        "activity": pa.string(),
        "kcal_per_min": pa.float32(),
        "coverage": pa.float32(),
        "readings": pa.int32(),  # of a prediction; null in a row from the archive
        "spread": pa.float32(),  # g, the greatest standard deviation of an axis
        "movement": pa.float32(),  # g, mean absolute deviation of the size of the acceleration
        "steps": pa.float32(),
        "heart": pa.float32(),  # bpm, mean
    }
)
"""What a daily record is made of: rows of predictions and rows of the archive, of which those with the same watch and
start are the same window."""
MARGIN_US = NON_WEAR_US
"""Windows from so long before the day until so long after it are looked at."""

BOUT_US = 60_000_000
BOUT_GAP_US = 20_000_000
# A session may be interrupted for two minutes and must be active for 80 % of its time, as bouts of activity are
# usually counted (Troiano et al. 2008, Med Sci Sports Exerc 40(1):181-188).
SESSION_US = 600_000_000
SESSION_GAP_US = 120_000_000
SESSION_SHARE = 0.8
_MINUTE_US = 60_000_000
_RESTING_MINUTES = 30
_RESTING_PERCENTILE = 5
_FROM_ARCHIVE = ("spread", "movement", "steps", "heart")
_FROM_PREDICTION = ("kcal_per_min", "coverage")

Value = str | float | int | date | list[float] | list[tuple[str, float]] | None


@dataclass(frozen=True)
class _Windows:
    """Windows in the order of time, none twice; NaN and code -1 mean unknown."""

    start_us: np.ndarray
    end_us: np.ndarray
    worn: np.ndarray
    code: np.ndarray  # of the activity
    names: tuple[str, ...]
    values: Mapping[str, np.ndarray]  # of _FROM_ARCHIVE and _FROM_PREDICTION

    def take(self, rows: np.ndarray) -> _Windows:
        values = {name: column[rows] for name, column in self.values.items()}
        return _Windows(
            self.start_us[rows], self.end_us[rows], self.worn[rows], self.code[rows], self.names, values
        )

    @cached_property
    def minutes(self) -> np.ndarray:
        return np.asarray((self.end_us - self.start_us) / _MINUTE_US)


def day_record(
    windows: pa.Table, participant: str, day: LocalDay, inactive: Collection[str]
) -> dict[str, Value] | None:
    """A day's stored columns of the source `devices`; None where no window lies in the day.

    windows : WINDOWS in any order, of all watches that the person wore; what lies further away than MARGIN_US is
        ignored. inactive : activities that are not active ones
    """
    near = _distinct(windows, day)
    inside = near.take((near.start_us >= day.start_us) & (near.start_us < day.end_us))
    if not len(inside.start_us):
        return None
    on = inside.take(inside.worn)
    active_codes = [code for code, name in enumerate(near.names) if name not in inactive]
    active = np.isin(on.code, active_codes)
    recorded = np.where(np.isnan(inside.values["coverage"]), 1.0, inside.values["coverage"])
    row: dict[str, Value] = {
        "participant": participant,
        "date": day.date,
        "source": "devices",
        "zone": day.zone,
        "hours": day.hours,
        "wear_minutes": _rounded(on.minutes.sum()),
        "completeness": _rounded(min(1.0, float((inside.minutes * recorded).sum()) / (60 * day.hours))),
        "steps": _sum(on.values["steps"]),
        "kcal": _sum(on.values["kcal_per_min"] * on.minutes),
        "intensity": _mean(on.values["movement"], on.minutes),
        "first_wear": _time(on.start_us[0]) if len(on.start_us) else None,
        "last_wear": _time(on.end_us[-1]) if len(on.start_us) else None,
    }
    row |= _heart(on, active)
    if (inside.code >= 0).any() or not inside.worn.any():
        row |= _activities(near.take(near.worn), on, active, day)
        row |= _workout(on, active)
    return row


def _distinct(windows: pa.Table, day: LocalDay) -> _Windows:
    """Each time once: the rows of a window joined, then one watch of several."""
    start_us, end_us = (np.asarray(windows.column(name).to_numpy()) for name in ("start_us", "end_us"))
    rows = np.flatnonzero((start_us >= day.start_us - MARGIN_US) & (start_us < day.end_us + MARGIN_US))
    windows = windows.take(pa.array(rows))
    start_us, end_us = start_us[rows], end_us[rows]
    device, _ = _codes(windows, "device_id")
    code, names = _codes(windows, "activity")
    numbers = {name: _numbers(windows, name) for name in (*_FROM_ARCHIVE, *_FROM_PREDICTION, "readings")}
    # of several predictions of a window the one of most readings; a row of the archive after them
    order = np.lexsort((-np.nan_to_num(numbers["readings"], nan=-1.0), start_us, device))
    new = np.ones(len(order), bool)
    new[1:] = np.any(np.diff([device[order], start_us[order]], axis=1) != 0, axis=0)
    first = np.flatnonzero(new)
    kept = order[first]
    values = {name: numbers[name][kept] for name in _FROM_PREDICTION}
    if len(kept):
        values |= {name: np.fmax.reduceat(numbers[name][order], first) for name in _FROM_ARCHIVE}
    else:
        values |= {name: numbers[name] for name in _FROM_ARCHIVE}
    device, start_us, end_us = device[kept], start_us[kept], end_us[kept]
    is_worn = np.zeros(len(kept), bool)
    for one in np.unique(device):
        at = device == one
        is_worn[at] = worn(start_us[at], end_us[at], values["spread"][at])
    chosen = np.lexsort((device, -np.nan_to_num(values["coverage"]), ~is_worn, start_us))
    chosen = chosen[np.diff(start_us[chosen], prepend=-1) > 0]
    joined = _Windows(start_us, end_us, is_worn, code[kept], names, values).take(chosen)
    if len(chosen) > 1:  # windows of another length may overlap
        joined.end_us[:-1] = np.minimum(joined.end_us[:-1], joined.start_us[1:])
    return joined


def _codes(windows: pa.Table, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Index into the sorted names, -1 for null; the names."""
    text = windows.column(name).to_pylist()
    names = sorted({one for one in text if one is not None})
    place = {one: code for code, one in enumerate(names)} | {None: -1}
    return np.array([place[one] for one in text], np.int64), tuple(names)


def _numbers(windows: pa.Table, name: str) -> np.ndarray:
    return np.asarray(windows.column(name).cast(pa.float64()).to_numpy(), np.float64)


def _runs(start_us: np.ndarray, end_us: np.ndarray, gap_us: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last index of stretches of windows with gaps of at most gap_us."""
    apart = start_us[1:] - end_us[:-1] > gap_us
    return np.flatnonzero(np.append(True, apart)), np.flatnonzero(np.append(apart, True))


def _activities(near: _Windows, on: _Windows, active: np.ndarray, day: LocalDay) -> dict[str, Value]:
    minutes, bouts = list[tuple[str, float]](), list[tuple[str, float]]()
    for code, name in enumerate(near.names):
        at = on.code == code
        if not at.any():
            continue
        minutes.append((name, _rounded(on.minutes[at].sum())))
        part = near.take(near.code == code)
        first, last = _runs(part.start_us, part.end_us, BOUT_GAP_US)
        until = np.cumsum(part.end_us - part.start_us)
        length = until[last] - until[first] + (part.end_us - part.start_us)[first]
        begun = (part.start_us[first] >= day.start_us) & (part.start_us[first] < day.end_us)
        bouts.append((name, float(np.count_nonzero(begun & (length >= BOUT_US)))))
    hour = ((on.start_us[active] - day.start_us) // HOUR_US).astype(np.int64)
    by_hour = np.bincount(hour, on.minutes[active], minlength=day.parts)
    return {
        "active_minutes": _rounded(on.minutes[active].sum()),
        "minutes": minutes,
        "bouts": bouts,
        "hours_active": [_rounded(one) for one in by_hour],
    }


def _workout(on: _Windows, active: np.ndarray) -> dict[str, Value]:
    """The session of most active minutes, of equals the first."""
    none: dict[str, Value] = {"workout": None, "workout_minutes": 0.0, "workout_kcal": 0.0}
    part = on.take(active)
    if not len(part.start_us):
        return none
    first, last = _runs(part.start_us, part.end_us, SESSION_GAP_US)
    length = np.add.reduceat(part.minutes, first)
    span = (part.end_us[last] - part.start_us[first]) / _MINUTE_US
    enough = (length >= SESSION_US / _MINUTE_US) & (length >= SESSION_SHARE * span)
    if not enough.any():
        return none
    best = int(np.argmax(np.where(enough, length, -1)))
    session = part.take(np.arange(first[best], last[best] + 1))
    by_code = np.bincount(session.code, session.minutes, minlength=len(on.names))
    whole = on.take((on.start_us >= session.start_us[0]) & (on.start_us < session.end_us[-1]))
    return {
        "workout": on.names[int(by_code.argmax())],
        "workout_minutes": _rounded(length[best]),
        "workout_kcal": _sum(whole.values["kcal_per_min"] * whole.minutes),
    }


def _heart(on: _Windows, active: np.ndarray) -> dict[str, Value]:
    """Of the means of minutes."""
    known = ~np.isnan(on.values["heart"])
    if not known.any():
        return {}
    minute, place = np.unique(on.start_us[known] // _MINUTE_US, return_inverse=True)
    count = np.bincount(place, minlength=len(minute))
    means = np.bincount(place, on.values["heart"][known], minlength=len(minute)) / count
    quiet = means[np.bincount(place, active[known], minlength=len(minute)) == 0]
    resting = np.percentile(quiet, _RESTING_PERCENTILE) if len(quiet) >= _RESTING_MINUTES else np.nan
    return {
        "heart_resting": None if np.isnan(resting) else _rounded(resting),
        "heart_mean": _rounded(means.mean()),
        "heart_max": _rounded(means.max()),
    }


def _rounded(value: float) -> float:
    """Without the last digits, in which sums of float32 differ for no reason."""
    return round(float(value), 4)


def _sum(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return _rounded(known.sum()) if len(known) else None


def _mean(values: np.ndarray, weights: np.ndarray) -> float | None:
    known = ~np.isnan(values) & (weights > 0)
    return _rounded(np.average(values[known], weights=weights[known])) if known.any() else None


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(us))
