"""Planted personas: the habits that a synthesised person's days are drawn from; kept apart as truth.

Shares and levels are chosen, within what is known of wearers: between people, mean steps a day have the spread of
the 18 people that were used for tuning (docs/history.md); 18 % of adults exercise on an average day (Woods 2017,
BLS Spotlight on Statistics: Sports and Exercise), wearers of trackers somewhat more; of the active, about half
gather their exercise in one or two days of the week (Khurshid et al. 2023, JAMA 330(3), 247); a third of owners
stop within six months (Ledger and McCaffrey 2014, Inside Wearables), most of whom fade out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activitymodule.synthesis.draws import normal, uniform


@dataclass(frozen=True)
class Persona:
    """What its people have in common.

    walking_minutes : median over people of a day's walking beside workouts; log spread over people
    changeable : standard deviation of a day's walking, as a share of its mean; log spread over people is 0.2
    workouts : a week; weekend : share of them on Saturday and Sunday; kinds : how many different ones
    length : factor on the usual length of a workout
    anchored : how far workouts keep to fixed weekdays, 0 to 1
    irregular : log spread of an hour's activity from day to day
    fades : share of the people whose habit fades
    engagement : what keeps the watch on the wrist, as in `course`; standard deviation over people is 0.5
    favourites : the kinds of workout of which they like one most; by popularity where there are none
    """

    name: str
    share: float
    walking_minutes: float
    spread: float
    changeable: float
    workouts: float
    weekend: float
    kinds: int
    length: float
    anchored: float
    irregular: float
    fades: float
    engagement: float
    favourites: tuple[str, ...] = ()


PERSONAS: tuple[Persona, ...] = (
    Persona("trainer", 0.17, 54, 0.28, 0.25, 5.2, 0.22, 5, 0.95, 0.75, 0.5, 0.02, 1.5),
    Persona("walker", 0.22, 74, 0.26, 0.22, 3.4, 0.27, 1, 0.7, 0.60, 0.25, 0.02, 1.4, ("walking",)),
    Persona(
        "weekender", 0.16, 40, 0.32, 0.32, 1.9, 0.95, 1, 1.2, 0.85, 0.4, 0.02, 1.3, ("hiking", "cycling")
    ),
    Persona("fader", 0.23, 50, 0.34, 0.36, 2.6, 0.28, 2, 0.9, 0.15, 0.8, 0.97, 0.5),
    Persona("quiet", 0.22, 24, 0.36, 0.40, 0.45, 0.40, 1, 0.40, 0.10, 1.2, 0.02, 1.3, ("walking",)),
)
NAMES = tuple(persona.name for persona in PERSONAS)
ENGAGEMENT_SPREAD = 0.5


@dataclass(frozen=True)
class Habits:
    """The habits of n people; every array has shape (n,), and is as in `Persona` but each person's own."""

    persona: np.ndarray  # int64, index into PERSONAS
    walking_minutes: np.ndarray
    changeable: np.ndarray
    workouts: np.ndarray
    weekend: np.ndarray
    kinds: np.ndarray  # int64
    length: np.ndarray
    anchored: np.ndarray
    irregular: np.ndarray
    fades: np.ndarray  # bool
    engagement: np.ndarray


def habits(device: np.ndarray, seed: int) -> Habits:
    """The persona and habits of each person (int64 numbers, shape (n,))."""
    persona = np.searchsorted(
        np.cumsum([p.share for p in PERSONAS])[:-1], uniform("persona", seed, device), side="right"
    )

    def common(name: str) -> np.ndarray:
        return np.array([getattr(p, name) for p in PERSONAS])[persona]

    own = {
        name: normal(f"habit {name}", seed, device)
        for name in ("walking", "changeable", "workouts", "weekend", "length", "anchored", "engagement")
    }
    return Habits(
        persona,
        common("walking_minutes") * np.exp(common("spread") * own["walking"]),
        common("changeable") * np.exp(0.2 * own["changeable"]),
        np.clip(common("workouts") * np.exp(0.22 * own["workouts"]), 0.0, 6.5),
        np.clip(common("weekend") + 0.05 * own["weekend"], 0.0, 1.0),
        common("kinds") + ((common("kinds") > 1) & (uniform("one kind more", seed, device) < 0.3)),
        common("length") * np.exp(0.12 * own["length"]),
        np.clip(common("anchored") + 0.1 * own["anchored"], 0.0, 1.0),
        common("irregular"),
        uniform("habit fades", seed, device) < common("fades"),
        common("engagement") + ENGAGEMENT_SPREAD * own["engagement"],
    )
