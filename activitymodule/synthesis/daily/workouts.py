"""Workouts: which kind on which day, how long, and what it costs.

Sources
- METs: 2011 Compendium of Physical Activities (Ainsworth et al. 2011, Med Sci Sports Exerc 43(8), 1575).
- popularity: of those who exercise on an average day 30 % walk, 8.9 % lift weights, 8.8 % run, 8.7 % use cardiovascular
  equipment (2011 to 2015), and 8 % swim (2003 to 2006); 85 % of yoga's people are women, 77 % of soccer's men
  (Woods 2017 and 2008, BLS Spotlight on Statistics: Sports and Exercise, from the American Time Use Survey). Shares of
  cycling, hiking and rowing are assumed in their proportion.
- length: walking, running, weights, equipment and yoga take the least time, hiking the most (the same); exercise
  takes 87 minutes on a day that has any. Medians are assumed so, log spread 0.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activitymodule.models.mets import METS
from activitymodule.synthesis.daily.course import Course
from activitymodule.synthesis.daily.personas import PERSONAS, Habits
from activitymodule.synthesis.draws import normal, uniform


@dataclass(frozen=True)
class Kind:
    """A kind of workout.

    activity : of the fleet's activities, as which a watch sees it; `other` where it knows none
    popular : share of what people choose; women : factor on it for them; outdoors : how far it needs summer
    steps_per_min : None: the wearer's own cadence; intensity : mean movement in g, assumed where the fleet has none
    """

    name: str
    met: float
    activity: str
    minutes: float
    popular: float
    women: float
    outdoors: float
    steps_per_min: float | None
    intensity: float


KINDS: tuple[Kind, ...] = (
    Kind("walking", 4.3, "walking", 45, 0.24, 1.2, 0.2, None, 0.26),  # 17200: brisk, for exercise
    Kind("jogging", METS["jogging"], "jogging", 35, 0.14, 0.8, 0.2, None, 0.54),  # 12020
    Kind("cycling", 7.5, "other", 55, 0.12, 0.7, 0.6, 6.0, 0.07),  # 01015
    Kind("swimming", 5.8, "other", 40, 0.09, 1.1, 0.3, 2.0, 0.30),  # 18240: laps, freestyle, slow
    Kind("strength", 4.75, "other", 45, 0.15, 0.7, 0.0, 9.0, 0.06),  # mean of 02050 and 02054
    Kind("elliptical", 5.0, "other", 35, 0.08, 1.2, -0.2, 95.0, 0.12),  # 02048
    Kind("yoga", 2.5, "other", 50, 0.03, 4.0, 0.0, 4.0, 0.035),  # 02150
    Kind("rowing", 4.8, "other", 30, 0.04, 0.7, 0.1, 20.0, 0.16),  # 02071
    Kind("hiking", 6.0, "walking", 100, 0.05, 1.0, 0.7, None, 0.22),  # 17080
    Kind("soccer", METS["kicking"], "kicking", 70, 0.03, 0.3, 0.4, 75.0, 0.24),  # 15610
)
NAMES = tuple(kind.name for kind in KINDS)
FORGOTTEN = 0.04  # of workouts on a worn day, done without the watch


@dataclass(frozen=True)
class Workouts:
    """The main workout of n people on d days; arrays (n, d)."""

    kind: np.ndarray  # int64, index into KINDS; -1 without one
    minutes: np.ndarray  # 0 without one
    effort: np.ndarray  # factor on the kind's METs
    hour: np.ndarray  # at which it begins, local


def of(name: str) -> np.ndarray:
    """A number of every kind, (kinds,)."""
    return np.array([getattr(kind, name) for kind in KINDS], float)


def workouts(
    habits: Habits, female: np.ndarray, device: np.ndarray, dates: np.ndarray, life: Course, seed: int
) -> Workouts:
    """The workouts of n people on consecutive dates (d,) datetime64[D]."""
    who, day = device[:, None], np.arange(len(dates))[None, :]
    weekday = (dates.astype(np.int64) + 3) % 7  # Monday is 0
    chance = _weekly(habits, device, seed)[:, weekday] * np.minimum(life.habit, 1.4)
    chance = np.minimum(chance, 0.97) * np.clip(1 - 2.5 * life.illness, 0.0, 1.0)
    done = uniform("workout", seed, who, day) < chance

    liking = _liking(habits, female, device, seed)
    chances = liking[:, None, :] * np.maximum(1 + of("outdoors") * life.warmth[:, :, None], 0.1)
    total = np.cumsum(chances, axis=2)
    kind = (total < (uniform("kind", seed, who, day) * total[:, :, -1])[:, :, None]).sum(2)
    kind = np.minimum(kind, len(KINDS) - 1)

    length = of("minutes")[kind] * habits.length[:, None]
    minutes = np.clip(length * np.exp(0.3 * normal("workout minutes", seed, who, day)), 12.0, 300.0)
    # early birds and others; at weekends before noon
    usual = np.where(uniform("early", seed, device) < 0.35, 7.0, 18.0)[:, None]
    usual = np.where(weekday >= 5, 10.0, usual)
    hour = np.clip(usual + 1.2 * normal("workout hour", seed, who, day), 5.0, 20.5)
    effort = np.exp(0.10 * normal("workout effort", seed, who, day))
    return Workouts(np.where(done, kind, -1), np.where(done, minutes, 0.0), effort, hour)


def _weekly(habits: Habits, device: np.ndarray, seed: int) -> np.ndarray:
    """The chance of a workout on each day of the week, Monday first, (n, 7).

    Fixed weekdays are those that rank first by hash; the rest of the habit is spread evenly.
    """
    days = np.arange(7)
    weekend = days >= 5
    even = np.where(weekend, habits.weekend[:, None] / 2, (1 - habits.weekend[:, None]) / 5)
    rank = even * np.exp(0.7 * normal("weekday", seed, device[:, None], days[None, :]))
    order = np.argsort(np.argsort(-rank, axis=1), axis=1)
    fixed = np.clip(habits.workouts[:, None] - order, 0.0, 1.0)
    return habits.anchored[:, None] * fixed + (1 - habits.anchored[:, None]) * np.minimum(
        even * habits.workouts[:, None], 1.0
    )


def _liking(habits: Habits, female: np.ndarray, device: np.ndarray, seed: int) -> np.ndarray:
    """How much each person likes each kind, 0 for what is not theirs, (n, kinds)."""
    kinds = np.arange(len(KINDS))
    popular = of("popular") * np.where(female[:, None], of("women"), 1.0)
    # Efraimidis and Spirakis (2006, Inf Process Lett 97(5), 181): a weighted draw without replacement
    rank = uniform("liking", seed, device[:, None], kinds[None, :]) ** (1 / popular)
    favourites = np.array([[kind in p.favourites for kind in NAMES] for p in PERSONAS])[habits.persona]
    rank = np.where(favourites, 1 + rank, rank)
    place = np.argsort(np.argsort(-rank, axis=1), axis=1)
    return np.where(place < habits.kinds[:, None], 0.7**place, 0.0)
