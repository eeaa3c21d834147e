"""Who wears the watches: age, sex, height, weight, resting heart rate, fitness; from seed and device alone.

Sources
- age 45.8 (SD 14.4) years, 63 % women, body mass index 28.4 (SD 5.8), resting heart rate 65.5 (SD 7.7) bpm:
  92,457 wearers of a wrist-worn tracker (Quer et al. 2020, PLoS ONE 15(2), e0227709). Ages stay in 18 to 79.
- height: 175 cm for men, 161 cm for women (Fryar et al. 2018, National Health Statistics Reports 122),
  SD 7.5 and 7 cm as in the percentiles of McDowell et al. 2008 (National Health Statistics Reports 10).
- VO2max in ml/kg/min: medians from 48.0 (men) and 37.6 (women) at 20 to 29 years to 24.4 and 18.3 at 70 to
  79, about a tenth less each decade (Kaminsky et al. 2015, Mayo Clin Proc 90(11), 1515); log SD 0.18 is
  assumed, and nobody is below 9 MET, because everybody in the fleet jogs now and then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activitymodule.models.mets import OXYGEN_PER_MET
from activitymodule.synthesis.draws import normal, uniform


@dataclass(frozen=True)
class People:
    """Wearers of n watches; every array has shape (n,)."""

    device: np.ndarray  # int64, 1 and up
    age_years: np.ndarray
    female: np.ndarray  # bool
    height_cm: np.ndarray
    weight_kg: np.ndarray
    resting_heart_rate_bpm: np.ndarray
    fitness_met: np.ndarray  # VO2max in METs; not in the people table: no watch's owner knows it

    @property
    def highest_heart_rate_bpm(self) -> np.ndarray:
        """208 - 0.7 age (Tanaka, Monahan and Seals 2001, J Am Coll Cardiol 37, 153)."""
        return 208.0 - 0.7 * self.age_years

    def __len__(self) -> int:
        return len(self.device)


def device_name(device: int) -> str:
    """`watch-00001` for device 1."""
    return f"watch-{device:05d}"


def wearers(device: np.ndarray, seed: int) -> People:
    """Who wears each of n watches (int64 device numbers, shape (n,))."""
    device = np.asarray(device, np.int64)
    age = np.floor(_within(45.8, 14.4, 18, 79, "age", seed, device))
    female = uniform("sex", seed, device) < 0.63
    height = np.where(
        female, 161.0 + 7.0 * normal("height", seed, device), 175.0 + 7.5 * normal("height", seed, device)
    )
    # log-normal with the mean and SD of the source
    body_mass_index = np.exp(np.log(28.4) - 0.0204 + 0.202 * normal("body", seed, device))
    weight = np.clip(body_mass_index, 18.0, 42.0) * (height / 100) ** 2
    resting = _within(65.5, 7.7, 45, 90, "resting", seed, device)
    decades = (age - 25) / 50
    oxygen = np.where(female, 37.6 * (18.3 / 37.6) ** decades, 48.0 * (24.4 / 48.0) ** decades)
    fitness = oxygen * np.exp(0.18 * normal("fitness", seed, device)) / OXYGEN_PER_MET
    return People(
        device,
        age,
        female,
        np.round(height),
        np.round(weight, 1),
        np.round(resting),
        np.clip(fitness, 9.0, 20.0),
    )


def people(devices: int, seed: int) -> pa.Table:
    """Rows of the table `people` for watches 1 to `devices`, one row a watch."""
    return people_table(wearers(np.arange(1, devices + 1), seed))


def people_table(who: People) -> pa.Table:
    """The columns of the table `people`."""
    return pa.table(
        {
            "device_id": pa.array([device_name(d) for d in who.device.tolist()], pa.string()),
            "age_years": pa.array(who.age_years, pa.float32()),
            "sex": pa.array(np.where(who.female, "female", "male")),
            "height_cm": pa.array(who.height_cm, pa.float32()),
            "weight_kg": pa.array(who.weight_kg, pa.float32()),
            "resting_heart_rate_bpm": pa.array(who.resting_heart_rate_bpm, pa.float32()),
        }
    )


def _within(
    mean: float, sd: float, low: float, high: float, name: str, seed: int, device: np.ndarray
) -> np.ndarray:
    """Normal, drawn again (up to 8 times) where it falls outside."""
    value = mean + sd * normal(name, seed, device, 0)
    for attempt in range(1, 9):
        outside = (value < low) | (value > high)
        if not outside.any():
            break
        value = np.where(outside, mean + sd * normal(name, seed, device, attempt), value)
    return np.clip(value, low, high)
