"""Samples of wear retention: a person at a cut, what is known then, and whether they stop wearing the watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from activitymodule.behaviour.grid import DayGrid
from activitymodule.behaviour.wearing.past import HISTORY_DAYS, known_at
from activitymodule.errors import NotEnoughDataError

HORIZON_DAYS = 14
"""A stop that begins so many days after the cut at the latest counts."""
STOP_DAYS = 14
"""So many days in a row without wear are a stop."""
RISK_DAYS = 7
"""Only those who wore the watch within so many days before the cut are asked about."""
STEP_DAYS = 4
OUTCOME_DAYS = HORIZON_DAYS + STOP_DAYS - 1
"""Days after a cut until its outcome is known."""


@dataclass(frozen=True)
class Samples:
    """n samples.

    past : columns computed from the days up to the cut, float64 (n,) each; extras : further columns of the records, as
    they stood at the cut, float64 or object (n,); stops : bool (n,); person : place of the person, cut : of the day,
    int (n,); dates : of the cuts, by day
    """

    people: tuple[str, ...]
    past: Mapping[str, np.ndarray]
    extras: Mapping[str, np.ndarray]
    stops: np.ndarray
    person: np.ndarray
    cut: np.ndarray
    dates: Mapping[int, date]
    synthetic: bool

    def __len__(self) -> int:
        return len(self.stops)


def stops_after(worn: np.ndarray, cut: int) -> np.ndarray:
    """Whether a stop begins within HORIZON_DAYS after day `cut`, bool (n,); worn : bool (n, d), d > cut + OUTCOME_DAYS.

    A stop is a stretch of STOP_DAYS without wear. One that began before the cut counts where it goes on.
    """
    found = np.zeros(len(worn), bool)
    for begin in range(cut + 1, cut + 1 + HORIZON_DAYS):
        found |= ~worn[:, begin : begin + STOP_DAYS].any(1)
    return found


def at_risk(grid: DayGrid, cut: int) -> np.ndarray:
    """Who wore the watch in the RISK_DAYS up to the cut, and has two weeks of records before it; places of people."""
    worn = grid.worn()
    recent = worn[:, max(cut - RISK_DAYS + 1, 0) : cut + 1].any(1)
    old = grid.there[:, : max(cut - 13, 0)].any(1)
    return np.flatnonzero(recent & old)


def cuts_of(grid: DayGrid, step: int = STEP_DAYS) -> list[int]:
    """Days whose past is long enough and whose outcome is known. Raises NotEnoughDataError where there is none."""
    found = list(range(HISTORY_DAYS - 1, grid.days - OUTCOME_DAYS, step))
    if not found:
        raise NotEnoughDataError(
            f"the records span {grid.days} days; {HISTORY_DAYS + OUTCOME_DAYS} are needed to know what came before a "
            "day and who stopped after it"
        )
    return found


def samples_of(grid: DayGrid, step: int = STEP_DAYS) -> Samples:
    """All samples of a grid. Raises NotEnoughDataError where nobody, or everybody, stops."""
    worn = grid.worn()
    past: list[dict[str, np.ndarray]] = []
    extras: list[dict[str, np.ndarray]] = []
    stops, person, cut = [], [], []
    cuts = cuts_of(grid, step)
    for day in cuts:
        rows = at_risk(grid, day)
        past.append({name: values[rows] for name, values in known_at(grid, day).items()})
        extras.append({name: as_of(values[rows], day) for name, values in grid.extras.items()})
        stops.append(stops_after(worn[rows], day))
        person.append(rows)
        cut.append(np.full(len(rows), day))
    found = Samples(
        grid.people,
        _joined(past),
        _joined(extras),
        np.concatenate(stops),
        np.concatenate(person),
        np.concatenate(cut),
        {day: grid.date_of(day) for day in cuts},
        grid.synthetic,
    )
    if not 0 < found.stops.sum() < len(found):
        raise NotEnoughDataError(
            f"of {len(found)} samples {int(found.stops.sum())} stop wearing the watch; both are needed to learn from"
        )
    return found


def as_of(values: np.ndarray, day: int) -> np.ndarray:
    """The last known value up to a day, (n,), of a column (n, d)."""
    past = values[:, : day + 1]
    known = past != None if past.dtype == object else ~np.isnan(past)  # noqa: E711  # of each element
    last = past.shape[1] - 1 - known[:, ::-1].argmax(1)
    found = past[np.arange(len(past)), last]
    nothing = None if past.dtype == object else np.nan
    return np.asarray(np.where(known.any(1), found, nothing))


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
