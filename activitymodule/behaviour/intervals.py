"""Intervals of figures over people: the people are drawn again, with all their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from activitymodule.learning.gate.bootstrap import resampled_people

RESAMPLES = 1000


@dataclass(frozen=True)
class Figure:
    """A figure with its central 95 % interval over people."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 3) -> str:
        """As tables show it."""
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def over_people(
    sums: np.ndarray, figure: Callable[[np.ndarray], np.ndarray], *, times: int = RESAMPLES, seed: int = 0
) -> Figure:
    """A figure that is a function of sums over people, such as counts of a confusion matrix.

    sums : (n_people, k); figure : (..., k) -> (...)
    """
    whole = figure(sums.sum(0).astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = figure(resampled_people(len(sums), times, seed) @ sums)
    return _figure(float(whole), resampled)


def by_weight(
    person: np.ndarray,
    figure: Callable[[np.ndarray], float],
    *,
    times: int = 200,
    seed: int = 0,
) -> Figure:
    """A figure of weighted rows, such as an area under a curve: a person drawn twice weighs twice.

    person : place of each row's person, int (n,); figure : weights (n,) -> the figure
    """
    people, place = np.unique(person, return_inverse=True)
    whole = figure(np.ones(len(person)))
    resampled = []
    for drawn in resampled_people(len(people), times, seed):
        value = figure(drawn[place])
        if np.isfinite(value):
            resampled.append(value)
    return _figure(whole, np.array(resampled))


def _figure(value: float, resampled: np.ndarray) -> Figure:
    known = resampled[np.isfinite(resampled)]
    if not len(known):
        return Figure(value, value, value)
    low, high = np.quantile(known, (0.025, 0.975))
    return Figure(value, float(low), float(high))
