"""Day plans: what each wearer does when; a semi-Markov process that can be evaluated at any second.

A plan is cut into blocks of about half an hour whose edges are drawn by hash. Inside a block, bouts follow
one another: a duration from the activity's own log-normal, then the next activity by what may follow what
and by the wearer's hour. A block needs only (seed, device, block), so no plan is walked from its beginning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activitymodule.errors import ConfigError
from activitymodule.synthesis.draws import integer, normal, uniform

BLOCK_SECONDS = 1800
EDGE_SECONDS = 600  # a block begins up to this long after its nominal edge
LEAST_SECONDS = 15  # no bout is shorter


@dataclass(frozen=True)
class Habit:
    """How an activity is done: the median and log spread of a bout, and its share of what is begun."""

    median_seconds: float
    spread: float
    night: float  # weight from 22 to 6 by the wearer's clock
    working: float  # 6 to 17
    evening: float  # 17 to 22


HABITS: dict[str, Habit] = {
    "walking": Habit(150, 0.6, 0.7, 1.0, 1.0),
    "jogging": Habit(260, 0.5, 0.1, 0.25, 0.6),
    "stairs": Habit(50, 0.4, 0.3, 0.9, 0.8),
    "sitting": Habit(360, 0.7, 1.5, 1.0, 0.8),
    "standing": Habit(120, 0.6, 0.6, 0.9, 0.8),
    "kicking": Habit(170, 0.5, 0.1, 0.3, 0.7),
}
"""Assumed, not measured: short enough that a demonstration of minutes shows a watch change its activity."""

OTHER = Habit(150, 0.6, 0.5, 0.5, 0.5)
"""For an activity of reference statistics that the table above does not name."""

FOLLOWS: dict[tuple[str, str], float] = {
    ("sitting", "standing"): 2.5,
    ("sitting", "jogging"): 0.1,
    ("sitting", "kicking"): 0.1,
    ("sitting", "stairs"): 0.3,
    ("standing", "walking"): 2.0,
    ("walking", "stairs"): 1.5,
    ("stairs", "walking"): 3.0,
    ("stairs", "kicking"): 0.1,
    ("stairs", "jogging"): 0.3,
    ("jogging", "walking"): 3.0,
    ("jogging", "sitting"): 0.3,
    ("jogging", "stairs"): 0.3,
    ("kicking", "walking"): 2.0,
    ("kicking", "standing"): 2.0,
    ("kicking", "stairs"): 0.1,
}
"""Factor on a transition; 1 where nothing stands here. One sits down from standing, not from a jog."""


@dataclass(frozen=True)
class Plan:
    """Bouts of n (device, block) pairs, k at the most; unused places start at the block's end.

    start : int64 (n, k + 1), UTC seconds; a bout ends where the next starts
    activity : int64 (n, k), index into the activities
    """

    start: np.ndarray
    activity: np.ndarray

    @property
    def end(self) -> np.ndarray:
        """Where each bout ends: the start of the next one."""
        return self.start[:, 1:]

    def bout(self, row: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Index of the bout of plan row `row` that holds each second."""
        return (self.start[row, 1:] <= second[:, None]).sum(1)


@dataclass(frozen=True)
class DayPlans:
    """The plans of all watches of a seed over a set of activities."""

    seed: int
    activities: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.activities:
            raise ConfigError("the day plan needs at least one activity: the reference statistics name none")

    def edge(self, device: np.ndarray, block: np.ndarray) -> np.ndarray:
        """UTC second at which a block of a device begins."""
        return block * BLOCK_SECONDS + integer("edge", 0, EDGE_SECONDS - 1, self.seed, device, block)

    def block(self, device: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The block that holds each second."""
        nominal = np.floor_divide(second, BLOCK_SECONDS)
        return nominal - (second < self.edge(device, nominal))

    def hour(self, device: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Hour of the wearer's day, 0 to 24: UTC moved by up to 2.5 hours, so that a fleet is not in step."""
        shift = (uniform("hour", self.seed, device) * 5.0 - 2.5) * 3600
        return np.mod(second + shift, 86400) / 3600

    def plan(self, device: np.ndarray, block: np.ndarray) -> Plan:
        """Bouts of n (device, block) pairs, int64 arrays of shape (n,)."""
        habits = [HABITS.get(name, OTHER) for name in self.activities]
        median = np.array([h.median_seconds for h in habits])
        spread = np.array([h.spread for h in habits])
        taste = np.array(
            [[h.night, h.working, h.evening] for h in habits]
        ).T  # (parts of the day, activities)
        follows = np.array(
            [[0.0 if a == b else FOLLOWS.get((a, b), 1.0) for b in self.activities] for a in self.activities]
        )
        if len(self.activities) == 1:
            follows[:] = 1.0

        end = self.edge(device, block + 1)
        start = self.edge(device, block)
        # activity at a random instant: what is begun, weighted by how long it lasts
        chances = taste[self._part(device, start)] * median
        activity = _pick(chances, uniform("first", self.seed, device, block))
        starts, activities = [start], [activity]
        step = 0
        while True:
            length = median[activity] * np.exp(
                spread[activity] * normal("length", self.seed, device, block, step)
            )
            start = start + np.maximum(np.rint(length).astype(np.int64), LEAST_SECONDS)
            start = np.where(start > end - LEAST_SECONDS, end, start)
            starts.append(start)
            if (start >= end).all():
                break
            chances = follows[activity] * taste[self._part(device, start)]
            activity = _pick(chances, uniform("next", self.seed, device, block, step))
            activities.append(activity)
            step += 1
        return Plan(np.stack(starts, 1), np.stack(activities, 1))

    def _part(self, device: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Part of the wearer's day: 0 night, 1 working day, 2 evening."""
        hour = self.hour(device, second)
        return np.where((hour < 6) | (hour >= 22), 0, np.where(hour < 17, 1, 2))

    def activity(self, device: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Index of the activity of each (device, second), int64 arrays of shape (n,) -> int64 (n,)."""
        pairs, row = self.rows(device, second)
        plan = self.plan(pairs[:, 0], pairs[:, 1])
        return plan.activity[row, plan.bout(row, second)]

    def rows(self, device: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The distinct (device, block) pairs of (device, second) rows, int64 (m, 2), and each row's pair."""
        device, second = np.asarray(device, np.int64), np.asarray(second, np.int64)
        return distinct(np.stack([device, self.block(device, second)], 1))


def distinct(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of an int64 (n, 2) array, sorted, and the index of each row's among them."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    ordered = pairs[order]
    fresh = np.ones(len(pairs), bool)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(1)
    index = np.empty(len(pairs), np.int64)
    index[order] = np.cumsum(fresh) - 1
    return ordered[fresh], index


def _pick(chances: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """One column of each row of (n, m) weights, by a uniform draw (n,)."""
    total = np.cumsum(chances, axis=1)
    return np.minimum((total < (draw * total[:, -1])[:, None]).sum(1), chances.shape[1] - 1)
