"""The days of synthesised people as numbers: wear, minutes by activity, steps, energy, heart.

Walking, household and a main workout make a day; the fleet's own persons (synthesis/people), strides and energy
relations (synthesis/energy) turn them into steps, kcal and heart rates.

Sources
- energy: rest by Mifflin et al. 1990 (Am J Clin Nutr 51(2), 241) over the whole day, and (MET - 1) x 3.5 x kg / 200 for
  each minute of an activity while the watch is worn: one MET for everybody would overstate rest by about a fifth
  (Byrne et al. 2005, J Appl Physiol 99(3), 1112). Household: 05025, 2.8 MET (2011 Compendium).
- weekday: steps of a Sunday are 1,500 below those of other days, of some 9,800 (Hamilton et al. 2008).
- heart: %HRR = %VO2 reserve, as in synthesis/energy; awake and sitting 8 bpm above rest (assumed).
- movement: mean absolute deviation of |acceleration| of the fleet's own readings by activity; others are assumed.
- how much a day differs from the next, how alike neighbouring days and the same weekdays are: tuned on the real days
  of 18 people (docs/history.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activitymodule.models.mets import kcal_per_min
from activitymodule.synthesis.daily import workouts as workout
from activitymodule.synthesis.daily.course import Course, autoregressive, course
from activitymodule.synthesis.daily.personas import Habits, habits
from activitymodule.synthesis.daily.workouts import KINDS, Workouts, workouts
from activitymodule.synthesis.daily.zones import NAMES, SOUTHERN, LocalDays, local_days, zones_of
from activitymodule.synthesis.draws import normal, uniform
from activitymodule.synthesis.energy import HARDEST, economy
from activitymodule.synthesis.people import People, wearers
from activitymodule.synthesis.readings import watches

ACTIVITIES = ("jogging", "kicking", "other", "sitting", "stairs", "standing", "walking")
"""The fleet's activities; `other` is what a watch has no name for: household, and workouts such as cycling."""
ACTIVE = ("jogging", "kicking", "other", "stairs", "walking")  # above 1.5 MET
INTENSITY = {"sitting": 0.013, "standing": 0.021, "stairs": 0.265, "walking": 0.244, "other": 0.055}  # g
HOUSEHOLD_MET, HOUSEHOLD_STEPS = 2.8, 11.0
HOUSEHOLD_MINUTES = 205.0
STAIRS_SHARE = 0.05  # of walking
WEEKDAYS = np.array([1.03, 1.07, 1.06, 1.05, 1.00, 0.93, 0.80])  # Monday first
SAME_WEEKDAY, SLOW = 0.06, 0.09  # shares of the variance of a person's walking: of the weekday, over weeks
SCANT = 0.07  # of the days at an engagement of 0, on which the watch is worn for a part only
TYPICAL_WEEKEND = 0.3  # share of workouts on two days of seven


@dataclass(frozen=True)
class Days:
    """n people x d days; arrays (n, d) unless said, numbers undefined on days without wear."""

    who: People
    zone: np.ndarray  # (n,) int64, index into zones.NAMES
    habits: Habits
    life: Course
    local: LocalDays
    wear: np.ndarray  # minutes, 0 where it is not worn
    recorded: np.ndarray  # minutes, worn or not
    first: np.ndarray  # minutes after local midnight
    last: np.ndarray
    minutes: np.ndarray  # (n, d, activities)
    workout: Workouts  # of the worn time
    workout_kcal: np.ndarray
    steps: np.ndarray
    kcal: np.ndarray
    heart_resting: np.ndarray
    heart_mean: np.ndarray
    heart_max: np.ndarray
    intensity: np.ndarray


@dataclass(frozen=True)
class _Wear:
    minutes: np.ndarray
    awake: np.ndarray  # minutes worn while awake
    share: np.ndarray  # of the waking time
    recorded: np.ndarray
    first: np.ndarray
    last: np.ndarray


def days(device: np.ndarray, dates: np.ndarray, seed: int, *, reference: str = "wisdm") -> Days:
    """The days of people (int64 numbers (n,)) on consecutive local dates (d,) datetime64[D]."""
    who, own = wearers(device, seed), habits(device, seed)
    zone = zones_of(device, seed)
    local = local_days(zone, dates)
    south = np.isin(zone, [NAMES.index(name) for name in SOUTHERN])
    life = course(own, device, dates, south, seed)
    wear = _wear(device, life, local, seed)
    level = _level(own, device, dates, life, seed)
    done = workouts(own, who.female, device, dates, life, seed)
    who_, day = device[:, None], np.arange(len(dates))[None, :]
    seen = life.worn & (done.kind >= 0) & (uniform("forgotten", seed, who_, day) > workout.FORGOTTEN)
    seen &= done.minutes < wear.awake
    done = Workouts(np.where(seen, done.kind, -1), np.where(seen, done.minutes, 0.0), done.effort, done.hour)

    bodies = watches(reference, seed).bodies
    names = bodies.plans.activities
    met, _ = bodies.usual(who)
    cadence = 120 * np.asarray(bodies.strides(device))
    of = {name: met[:, [column]] for column, name in enumerate(names)}
    pace = {name: cadence[:, [column]] for column, name in enumerate(names)}

    minutes = _minutes(own, who_, day, level, done, wear, seed)
    workout_met = _workout_met(who, done, of, seed)
    rest = besides(minutes, done)
    energy = _energy(who, rest, done, workout_met, of, local.hours)
    heart = _heart(who, own, life, rest, done, workout_met, of, wear, seed)
    return Days(
        who, zone, own, life, local, wear.minutes, wear.recorded, wear.first, wear.last, minutes, done,
        kcal_per_min(workout_met, who.weight_kg[:, None]) * done.minutes,
        _steps(rest, done, pace), energy, *heart, _intensity(rest, done, wear),
    )  # fmt: skip


def _wear(device: np.ndarray, life: Course, local: LocalDays, seed: int) -> _Wear:
    who, day = device[:, None], np.arange(life.worn.shape[1])[None, :]
    nights = uniform("wears at night", seed, device)[:, None] < 0.5
    asleep = 60 * (7.0 + 0.7 * normal("sleeper", seed, who) + 0.8 * normal("sleep", seed, who, day))
    total = 60 * local.hours
    awake = total - np.clip(asleep, 240, 600)
    # poor engagement shows as hours without the watch before it shows as days
    loose = 0.05 + 0.09 * np.logaddexp(0.0, -2 * (life.engagement - 0.4)) / 2
    gap = np.clip(loose * np.exp(0.7 * normal("gap", seed, who, day)), 0.01, 0.9)
    # now and then it is put on late or taken off soon
    scant = uniform("scant", seed, who, day) < SCANT * np.exp(-0.7 * np.minimum(life.engagement, 1.2))
    gap = np.where(scant, np.maximum(gap, 0.3 + 0.69 * uniform("how scant", seed, who, day) ** 0.6), gap)
    share = 1 - gap
    awake_worn = np.where(life.worn, awake * share, 0.0)
    charging = 35 + 30 * uniform("charging", seed, who, day)
    minutes = awake_worn + np.where(life.worn & nights, total - awake - charging, 0.0)
    rise = np.clip(
        60 * (6.9 + 0.8 * normal("riser", seed, who) + 0.6 * normal("rise", seed, who, day)), 180, 720
    )
    gap = awake - awake_worn
    first = np.where(nights, 0.0, rise + 0.4 * gap)
    last = np.where(nights, total, np.minimum(first + awake_worn + 0.2 * gap, total))
    first = np.where(nights, first, np.minimum(first, last - awake_worn))
    lies = uniform("lies about", seed, who, day) < 0.3
    idle = np.where(life.worn, 0.6 * gap, total * uniform("battery", seed, who, day)) * lies
    idle = np.where(day < life.stopped[:, None], idle, 0.0)
    recorded = np.minimum(minutes + idle, total)
    return _Wear(minutes, awake_worn, np.where(life.worn, share, 0.0), recorded, first, last)


def _level(own: Habits, device: np.ndarray, dates: np.ndarray, life: Course, seed: int) -> np.ndarray:
    """How active each day is as a factor about 1, workouts aside, (n, d)."""
    who, day = device[:, None], np.arange(len(dates))[None, :]
    weekday = (dates.astype(np.int64) + 3) % 7
    z = np.sqrt(SAME_WEEKDAY) * normal("same weekday", seed, who, weekday[None, :])
    z = z + np.sqrt(SLOW) * autoregressive(normal("weeks", seed, who, day), 0.93)
    z = z + np.sqrt(1 - SAME_WEEKDAY - SLOW) * autoregressive(normal("day", seed, who, day), 0.2)
    level = np.maximum(1 + own.changeable[:, None] * z, 0.06)
    free = np.maximum(1 + 0.25 * (own.weekend - TYPICAL_WEEKEND), 1.0)[:, None]
    level *= WEEKDAYS[weekday] * np.where(weekday >= 5, free, 1.0)
    # a fading habit takes some of the walking with it
    return level * life.season * (1 - 0.75 * life.illness) * np.clip(life.habit, 0.5, 1.0) ** 0.4


def _minutes(
    own: Habits, who: np.ndarray, day: np.ndarray, level: np.ndarray, done: Workouts, wear: _Wear, seed: int
) -> np.ndarray:
    """Minutes by activity of the worn time, (n, d, activities), in tenths."""
    walking = own.walking_minutes[:, None] * level * wear.share
    house = HOUSEHOLD_MINUTES * np.exp(0.35 * normal("household", seed, who))
    house = house * (0.40 + 0.60 * level) * np.exp(0.16 * normal("household", seed, who, day)) * wear.share
    each = {
        "walking": walking,
        "stairs": STAIRS_SHARE * walking * np.exp(0.5 * normal("stairs", seed, who)),
        "other": house,
        "jogging": np.zeros_like(walking),
        "kicking": np.zeros_like(walking),
    }
    left = np.maximum(wear.awake - done.minutes, 0.0)
    crowded = np.minimum(0.75 * left / np.maximum(sum(each.values()), 1.0), 1.0)
    each = {name: value * crowded for name, value in each.items()}
    for index, kind in enumerate(KINDS):
        each[kind.activity] = each[kind.activity] + np.where(done.kind == index, done.minutes, 0.0)
    resting = np.maximum(wear.minutes - sum(each.values()), 0.0)
    stands = 0.22 * np.exp(0.4 * normal("stands", seed, who) + 0.2 * normal("stands", seed, who, day))
    still = np.maximum(wear.awake - sum(each.values()), 0.0)
    each["standing"] = np.minimum(stands, 0.7) * still
    each["sitting"] = resting - each["standing"]
    return np.round(np.stack([each[name] for name in ACTIVITIES], 2), 1)


def besides(minutes: np.ndarray, done: Workouts) -> np.ndarray:
    """Minutes by activity without those of the main workout, (n, d, activities)."""
    rest = minutes.copy()
    for index, kind in enumerate(KINDS):
        rest[:, :, ACTIVITIES.index(kind.activity)] -= np.where(done.kind == index, done.minutes, 0.0)
    return np.maximum(rest, 0.0)


def _workout_met(who: People, done: Workouts, of: dict[str, np.ndarray], seed: int) -> np.ndarray:
    """METs of each workout; 0 without one."""
    met = np.zeros(done.kind.shape)
    for index, kind in enumerate(KINDS):
        # a brisk walk is the wearer's own walk, quicker; jogging and kicking are the fleet's
        base = of.get(kind.activity)
        usual = base if base is not None and kind.name in ("jogging", "soccer") else None
        own = kind.met * economy(kind.name, who.device, seed)[:, None] if usual is None else usual
        met = np.where(done.kind == index, own * done.effort, met)
    return np.minimum(met, HARDEST * who.fitness_met[:, None])


def _energy(
    who: People, rest: np.ndarray, done: Workouts, workout_met: np.ndarray, of: dict[str, np.ndarray],
    hours: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Energy of the whole local day in kcal."""
    basal = 10 * who.weight_kg + 6.25 * who.height_cm - 5 * who.age_years + np.where(who.female, -161, 5)
    kcal = basal[:, None] / 24 * hours
    one = kcal_per_min(np.ones(len(who)), who.weight_kg)[:, None]
    for column, name in enumerate(ACTIVITIES):
        kcal = kcal + (of.get(name, HOUSEHOLD_MET) - 1) * one * rest[:, :, column]
    return kcal + np.maximum(workout_met - 1, 0.0) * one * done.minutes


def _steps(rest: np.ndarray, done: Workouts, pace: dict[str, np.ndarray]) -> np.ndarray:
    steps = np.zeros(done.kind.shape)
    for column, name in enumerate(ACTIVITIES):
        steps = steps + rest[:, :, column] * (HOUSEHOLD_STEPS if name == "other" else pace.get(name, 0.0))
    for index, kind in enumerate(KINDS):
        cadence = pace[kind.activity] if kind.steps_per_min is None else kind.steps_per_min
        steps = steps + np.where(done.kind == index, done.minutes * cadence, 0.0)
    return np.round(steps)


def _heart(
    who: People, own: Habits, life: Course, minutes_besides: np.ndarray, done: Workouts, workout_met: np.ndarray,
    of: dict[str, np.ndarray], wear: _Wear, seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Resting, mean and greatest heart rate in bpm."""
    person, day = who.device[:, None], np.arange(life.worn.shape[1])[None, :]
    rest = who.resting_heart_rate_bpm[:, None] - 1.2 * np.minimum(own.workouts[:, None] * life.habit, 6)
    rest = rest + 2.5 - life.warmth + 7 * life.illness
    rest = rest + 1.9 * autoregressive(normal("resting", seed, person, day), 0.5)
    reserve = who.highest_heart_rate_bpm[:, None] - rest

    def at(met: np.ndarray) -> np.ndarray:
        return rest + reserve * np.clip((met - 1) / (who.fitness_met[:, None] - 1), 0.0, 1.0)

    asleep = np.maximum(wear.minutes - wear.awake, 0.0)
    total = rest * asleep
    for column, name in enumerate(ACTIVITIES):
        rested = np.maximum(minutes_besides[:, :, column] - (asleep if name == "sitting" else 0.0), 0.0)
        total = total + rested * (at(of.get(name, np.full_like(rest, HOUSEHOLD_MET))) + 8)
    total = total + done.minutes * at(workout_met)
    mean = total / np.maximum(wear.minutes, 1.0)
    hardest = np.maximum(at(1.25 * of["stairs"]), np.where(done.kind >= 0, at(1.12 * workout_met), 0.0))
    hardest = hardest + 8 + 4 * normal("hardest", seed, person, day)
    top = np.clip(hardest, mean + 5, who.highest_heart_rate_bpm[:, None] + 4)
    return np.round(rest, 1), np.round(mean, 1), np.round(top, 1)


def _intensity(rest: np.ndarray, done: Workouts, wear: _Wear) -> np.ndarray:
    total = np.zeros(done.kind.shape)
    for index, kind in enumerate(KINDS):
        total = total + np.where(done.kind == index, done.minutes * kind.intensity, 0.0)
    for column, name in enumerate(ACTIVITIES):
        total = total + rest[:, :, column] * INTENSITY.get(name, 0.0)
    return np.round(total / np.maximum(wear.minutes, 1.0), 4)
