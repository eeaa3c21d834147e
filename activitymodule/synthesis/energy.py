"""Energy, heart rate, steps and speed of each wearer at any second, from the day plan by published relations.

- METs: 2011 Compendium of Physical Activities (models/mets).
- Walking and jogging cost more at a longer or quicker step: the Compendium's value is scaled by the ACSM's
  equations, VO2 = 3.5 + 0.1 v on foot and 3.5 + 0.2 v at a run, v in m/min (ACSM's Guidelines for Exercise
  Testing and Prescription), between the wearer's speed and the speed of the code.
- Heart rate: %HRR = %VO2 reserve (Swain and Leutholtz 1997, Med Sci Sports Exerc 29(3), 410), maximum by
  Tanaka et al. 2001, approached with a first-order lag of 30 to 45 s when it rises and 50 to 75 s when it
  falls.
- Steps per minute = 120 x stride frequency (two steps a stride); speed = steps/s x step length, the step
  being 0.414 of the height on foot (a pedometer's rule of thumb) and 0.45 at a jog (assumed).

What is assumed, so that people differ as people do: each wearer's economy in each activity (log SD 0.08),
each bout's effort (log SD 0.10 moving, 0.05 still), slow waves of heart rate of about 2 bpm. Effort moves
the heart rate and the energy, not the acceleration: a regressor can learn it from the heart alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from activitymodule.models.mets import METS, kcal_per_min
from activitymodule.synthesis.draws import normal, uniform
from activitymodule.synthesis.people import People, wearers
from activitymodule.synthesis.plans import DayPlans

OTHER_MET = 2.5  # an activity that METS lacks

_MILES_PER_HOUR = 26.8  # m/min
# activity -> ACSM's oxygen per m/min, speed of the Compendium's code in m/min, step length as a share of
# height
GAITS: dict[str, tuple[float, float, float]] = {
    "walking": (0.1, 3.0 * _MILES_PER_HOUR, 0.414),
    "jogging": (0.2, 4.0 * _MILES_PER_HOUR, 0.45),
    "stairs": (0.0, 1.0, 0.2),
}
OTHER_SPEEDS: dict[str, float] = {"kicking": 0.8}  # m/s, of activities without a gait
HARDEST = 0.9  # no wearer works above this share of the greatest oxygen uptake for minutes

WAVES_SECONDS = (4.0, 10.0, 23.0, 57.0, 140.0, 333.0)  # breathing, blood pressure and slower
WAVES_BPM = (0.6, 1.0, 0.8, 0.8, 1.0, 1.2)


@dataclass(frozen=True)
class State:
    """What n wearers do and how their bodies answer at n seconds; every array has shape (n,)."""

    activity: np.ndarray  # int64, index into the activities
    bout_start: np.ndarray  # int64, UTC second
    bout_end: np.ndarray  # int64, UTC second
    kcal_per_min: np.ndarray
    heart_rate_bpm: np.ndarray
    speed_m_per_s: np.ndarray  # of the bout, without its second-to-second change


@dataclass(frozen=True)
class Bodies:
    """Energy and heart rate of a seed's watches.

    strides : device numbers (n,) -> stride frequency in Hz of each activity (n, activities), 0 without a gait
    """

    plans: DayPlans
    strides: Callable[[np.ndarray], np.ndarray]

    def state(self, device: np.ndarray, second: np.ndarray) -> State:
        """State of each (device, UTC second), int64 arrays of shape (n,); whatever the order or the batch.

        The heart begins in balance with the first bout of the block of the plan before, at least 20 minutes
        earlier: what it did before that has faded to e^-16.
        """
        pairs, row = self.plans.rows(device, second)
        before = self.plans.plan(pairs[:, 0], pairs[:, 1] - 1)
        now = self.plans.plan(pairs[:, 0], pairs[:, 1])
        start = np.concatenate([before.start[:, :-1], now.start], axis=1)
        activity = np.concatenate([before.activity, now.activity], axis=1)

        who = wearers(pairs[:, 0], self.plans.seed)
        met, speed = self._effort(who, activity, start[:, :-1])
        rest, highest = who.resting_heart_rate_bpm[:, None], who.highest_heart_rate_bpm[:, None]
        reserve = np.clip((met - 1) / (who.fitness_met[:, None] - 1), 0, 1)
        target = rest + (highest - rest) * reserve

        rising = 30 + 15 * uniform("rising", self.plans.seed, who.device)
        falling = 50 + 25 * uniform("falling", self.plans.seed, who.device)
        at_start = np.empty_like(target)
        heart = target[:, 0]
        for bout in range(target.shape[1]):
            at_start[:, bout] = heart
            length = start[:, bout + 1] - start[:, bout]
            heart = _approach(heart, target[:, bout], length, rising, falling)

        at = (start[row, 1:] <= second[:, None]).sum(1)
        pulse = _approach(
            at_start[row, at], target[row, at], second - start[row, at], rising[row], falling[row]
        )
        return State(
            activity[row, at],
            start[row, at],
            start[row, at + 1],
            kcal_per_min(met[row, at], who.weight_kg[row]),
            np.clip(pulse + self._waves(who.device, row, second), 35, 220),
            speed[row, at],
        )

    def usual(self, who: People) -> tuple[np.ndarray, np.ndarray]:
        """METs and speed in m/s of each activity as each wearer does it, both (n, activities)."""
        seed, names = self.plans.seed, self.plans.activities
        strides = np.asarray(self.strides(who.device), np.float64)
        met = np.empty((len(who), len(names)))
        speed = np.zeros_like(met)
        for column, name in enumerate(names):
            met[:, column] = METS.get(name, OTHER_MET) * economy(name, who.device, seed)
            speed[:, column] = OTHER_SPEEDS.get(name, 0.0)
            if name in GAITS:
                oxygen, usual, step = GAITS[name]
                length = step * who.height_cm / 100 * (1 + 0.04 * normal("step", seed, who.device))
                speed[:, column] = 2 * strides[:, column] * length
                if oxygen:
                    met[:, column] *= (3.5 + oxygen * 60 * speed[:, column]) / (3.5 + oxygen * usual)
        return met, speed

    def _effort(self, who: People, activity: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """METs and speed in m/s of bouts (n, k) of activity indices and starts."""
        seed, names = self.plans.seed, self.plans.activities
        device = who.device[:, None]
        met, speed = self.usual(who)
        moving = np.array([METS.get(name, OTHER_MET) > 1.5 for name in names])
        bout_met = np.take_along_axis(met, activity, 1) * np.exp(
            np.where(moving[activity], 0.10, 0.05) * normal("effort", seed, device, start)
        )
        capped = np.clip(bout_met, 1.0, HARDEST * who.fitness_met[:, None])
        return capped, np.take_along_axis(speed, activity, 1) * (capped / np.maximum(bout_met, 1.0))

    def _waves(self, devices: np.ndarray, row: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Slow variability of heart rate in bpm: waves with each device's own periods and phases."""
        total = np.zeros(len(second))
        for number, (period, height) in enumerate(zip(WAVES_SECONDS, WAVES_BPM, strict=True)):
            own = period * (0.9 + 0.2 * uniform("period", self.plans.seed, devices, number))
            phase = uniform("phase", self.plans.seed, devices, number)
            total += height * np.sin(2 * np.pi * (second / own[row] + phase[row]))
        return total


def economy(activity: str, device: np.ndarray, seed: int) -> np.ndarray:
    """What an activity costs each wearer, as a factor on its METs."""
    return np.exp(0.08 * normal(f"economy {activity}", seed, device))


def _approach(
    value: np.ndarray, target: np.ndarray, seconds: np.ndarray, rising: np.ndarray, falling: np.ndarray
) -> np.ndarray:
    """First-order approach to a target, with one time constant upwards and one downwards."""
    return target + (value - target) * np.exp(-seconds / np.where(target > value, rising, falling))
