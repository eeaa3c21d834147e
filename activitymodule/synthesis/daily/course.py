"""What happens to people over the months: seasons, illness, fading habits, lapses, and the day the watch is put away.

Everything is a function of (seed, person, day), and what happens on a day never depends on how many days follow.

Sources
- season: steps 10,417 a day in summer, 9,132 in winter (Hamilton, Clemes and Griffiths 2008, Ann Hum Biol 35(2),
  154): 6.6 % about the mean; resting heart rate about 2 bpm between January and July (Quer et al. 2020, PLoS ONE
  15(2), e0227709).
- illness: two to four colds a year in adults, most in winter (BMJ Best Practice, Common cold); with influenza-like
  illness steps are lost from the first to the tenth day, 924 on the worst day and 4,437 in all (Mezlini et al. 2022,
  JAMA Netw Open 5(5), e2211958).
- wear: 73.9 % of 711 owners still tracked after 100 days, 16 % after 320, and a failed or lost device was among the
  reasons most often given (Hermsen et al. 2017, JMIR mHealth uHealth 5(10), e164); a third of owners stop within six
  months (Ledger and McCaffrey 2014). Those whose wear is poor stop twice as often (Faust et al. 2019, What 30 Days
  Tells Us About 3 Years, PervasiveHealth). Wear is less on Sundays (IJERPH 2020, 17(22), PMC7698482).
- habits: half of those who begin an exercise programme leave it within six months (Dishman 1988, Exercise Adherence);
  breaks such as Easter lower attendance afterwards (Fredslund and Leppin 2019, BMJ Open 9(2), e024043).
How engagement turns into wear and stopping is assumed; what comes out is in docs/history.md beside these figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from activitymodule.synthesis.daily.personas import Habits
from activitymodule.synthesis.draws import integer, normal, uniform

SEASON = 0.066
COLDS_A_YEAR = 2.5
COLD_DAYS = 11
# share of a cold's deepest effect on each of its days
COLD = np.array([0.6, 0.95, 1.0, 0.85, 0.65, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05])
LAPSES_A_YEAR = 0.7
LAPSE_DAYS = (3, 12)
FADE_FROM, FADE_UNTIL = 25, 140  # the day on which a fading habit begins to
FADE_DAYS = (7.0, 18.0)  # in which engagement falls by one
STOP_AT_AVERAGE = 0.0008  # chance a day of putting the watch away for good, at an engagement of 0
STOP_SLOPE = 1.6  # of its logarithm, a unit of engagement
BROKEN = 0.00012  # chance a day that the watch breaks or is lost


@dataclass(frozen=True)
class Course:
    """n people over d days; arrays have shape (n, d) unless said."""

    season: np.ndarray  # factor on walking, about 1
    warmth: np.ndarray  # -1 in mid-winter to 1 in mid-summer
    illness: np.ndarray  # 0 healthy to 1: nothing but rest
    engagement: np.ndarray
    habit: np.ndarray  # factor on workouts, 1 while the habit lasts
    worn: np.ndarray  # bool: whether the watch is worn at all
    stopped: np.ndarray  # (n,) int64: the first day after the watch was put away for good; d where it was not
    broken: np.ndarray  # (n,) bool: that it broke or was lost is why


def course(habits: Habits, device: np.ndarray, dates: np.ndarray, south: np.ndarray, seed: int) -> Course:
    """The course of n people.

    device : (n,) int64; dates : (d,) datetime64[D], consecutive; south : (n,) bool, of the southern hemisphere
    """
    who, day = device[:, None], np.arange(len(dates))[None, :]
    warmth = _warmth(dates)[None, :] * np.where(south, -1.0, 1.0)[:, None]
    fading = _fading(habits, device, day, seed)
    slow = autoregressive(normal("engagement", seed, who, day), 0.95)
    engagement = habits.engagement[:, None] + 0.45 * slow - fading
    # habits have ups and downs of their own beside what fades
    tides = autoregressive(normal("tide", seed, who, day), 0.96)
    habit = np.exp(0.25 * tides - 0.5 * fading)
    illness = _illness(who, day, warmth, seed)

    broken = uniform("broken", seed, who, day) < BROKEN
    tired = uniform("put away", seed, who, day) < np.minimum(
        STOP_AT_AVERAGE * np.exp(-STOP_SLOPE * engagement), 0.25
    )
    first_broken, first_tired = _first(broken), _first(tired)
    stopped = np.minimum(first_broken, first_tired)
    sunday = (dates.astype(np.int64) + 3) % 7 == 6
    # poor wear is a trait of some: the loss of a day comes from engagement, with a tail
    careless = 2.3 * np.maximum(normal("careless", seed, device), 0.0)[:, None]
    logit = 4.7 + 1.5 * np.minimum(engagement, 1.2) - careless - 0.3 * sunday
    logit = logit + 1.7 * autoregressive(normal("wear", seed, who, day), 0.75)
    worn = uniform("worn", seed, who, day) < 1 / (1 + np.exp(-logit))
    worn &= ~_lapse(who, day, seed) & (day < stopped[:, None])
    return Course(
        1 + SEASON * warmth, warmth, illness, engagement, habit, worn, stopped, first_broken < first_tired
    )


def autoregressive(white: np.ndarray, phi: float) -> np.ndarray:
    """AR(1) of unit variance along the last axis, from white noise (n, d); stationary from its first day."""
    scaled = white * np.sqrt(1 - phi**2)
    scaled[:, 0] = white[:, 0]
    return lfilter([1.0], [1.0, -phi], scaled, axis=1)


def _warmth(dates: np.ndarray) -> np.ndarray:
    """-1 on 15 January to 1 on 15 July, in the north."""
    of_year = (dates - dates.astype("datetime64[Y]")).astype(np.int64)
    return -np.cos(2 * np.pi * (of_year - 14) / 365.25)


def _fading(habits: Habits, device: np.ndarray, day: np.ndarray, seed: int) -> np.ndarray:
    """How much of the engagement a fading habit has lost, (n, d)."""
    begins = integer("fade", FADE_FROM, FADE_UNTIL, seed, device)[:, None]
    pace = FADE_DAYS[0] + (FADE_DAYS[1] - FADE_DAYS[0]) * uniform("fade pace", seed, device)[:, None]
    lost = np.minimum(np.maximum(day - begins, 0) / pace, 4.0)
    return np.where(habits.fades[:, None], lost, 0.0)


def _illness(who: np.ndarray, day: np.ndarray, warmth: np.ndarray, seed: int) -> np.ndarray:
    rate = COLDS_A_YEAR / 365.25 * (1 - 0.6 * warmth)
    begins = uniform("cold", seed, who, day) < rate
    depth = np.where(begins, 0.6 * uniform("cold depth", seed, who, day) ** 1.5, 0.0)
    ill = np.zeros_like(depth)
    for after, share in enumerate(COLD[: day.shape[1]]):
        ill[:, after:] = np.maximum(ill[:, after:], share * depth[:, : day.shape[1] - after])
    return ill


def _lapse(who: np.ndarray, day: np.ndarray, seed: int) -> np.ndarray:
    """Days away from the watch in one piece, such as a holiday, (n, d) bool."""
    begins = uniform("lapse", seed, who, day) < LAPSES_A_YEAR / 365.25
    length = integer("lapse days", *LAPSE_DAYS, seed, who, day)
    away = np.zeros(begins.shape, bool)
    for after in range(min(LAPSE_DAYS[1], day.shape[1])):
        away[:, after:] |= (begins & (length > after))[:, : day.shape[1] - after]
    return away


def _first(happens: np.ndarray) -> np.ndarray:
    """The first day on which it happens, (n,); the number of days where it does not."""
    return np.where(happens.any(1), happens.argmax(1), happens.shape[1])
