"""Signals of any number of watches from reference statistics: what a device reads in any minute.

Everything is a pure function of (seed, device, minute, profile): a minute can be made alone, in any order, by
any worker of a cluster, and nothing else that is made changes a bit of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial.transform import Rotation

from activitymodule.statistics.process import MINUTE, Process, Stream, random_stream
from activitymodule.statistics.reference import ReferenceStatistics

MOUNTING_DEGREES = 8.0
CADENCE_SPREAD = 0.03
INTENSITY_SPREAD = 0.07


@dataclass(frozen=True)
class DeviceJitter:
    """What sets one device apart from the person it borrows from; constant in time.

    rotation: (3, 3) how the watch sits on the wrist; cadence: factor of the stride frequency; intensity:
    factor of the motion.
    """

    rotation: np.ndarray
    cadence: float
    intensity: float


class SignalGenerator:
    """Total acceleration of devices by minute, in g, 10 a second.

    jitter: devices differ from the people measured (see DeviceJitter); without it they are those people.
    """

    def __init__(self, reference: ReferenceStatistics, seed: int, *, jitter: bool = True) -> None:
        self.reference = reference
        self.seed = int(seed)
        self.jitter = jitter
        self._processes: dict[int, Process] = {}
        by_person: dict[str, dict[str, int]] = {}
        for index, profile in enumerate(reference.profiles):
            by_person.setdefault(profile.person, {})[profile.activity] = index
        self._by_person = [by_person[name] for name in reference.people]
        self.device_jitter = lru_cache(maxsize=100_000)(self._device_jitter)
        self.person_for = lru_cache(maxsize=100_000)(self._person_for)

    @property
    def activities(self) -> tuple[str, ...]:
        """Activities that can be synthesised."""
        return self.reference.activities

    def profiles_of(self, activity: str) -> np.ndarray:
        """int64 indices of the profiles of an activity."""
        return self.reference.profiles_of(activity)

    def _person_for(self, device: int) -> int:
        """Index into `reference.people` of the person a device takes after."""
        return int(random_stream(self.seed, device, 0, Stream.CHOICE).integers(len(self._by_person)))

    def profile_for(self, device: int, activity: str) -> int:
        """The profile of a device doing an activity: its person's, or another's where they have none."""
        own = self._by_person[self.person_for(int(device))].get(activity)
        if own is not None:
            return own
        others = self.profiles_of(activity)
        choice = random_stream(self.seed, int(device), 1, Stream.CHOICE).integers(len(others))
        return int(others[choice])

    def _device_jitter(self, device: int) -> DeviceJitter:
        if not self.jitter:
            return DeviceJitter(np.eye(3), 1.0, 1.0)
        draws = random_stream(self.seed, device, 0, Stream.JITTER).standard_normal(5)
        spread = np.clip(draws[3:], -2.5, 2.5)
        return DeviceJitter(
            Rotation.from_rotvec(np.radians(MOUNTING_DEGREES) * draws[:3]).as_matrix(),
            float(1 + CADENCE_SPREAD * spread[0]),
            float(np.exp(INTENSITY_SPREAD * spread[1])),
        )

    def stride_hz(self, profile: int, device: int) -> float:
        """Strides a second (two steps each) of a device in a profile; 0 where there is no gait."""
        return float(self.reference.profiles[profile].stride_hz * self.device_jitter(int(device)).cadence)

    def block(self, profile: int, device: int, minute: int) -> np.ndarray:
        """(600, 3) float32 total acceleration in g of one minute (minutes since 1970)."""
        process = self._processes.get(profile)
        if process is None:
            process = self._processes[profile] = Process(self.reference.profiles[profile])
        jitter = self.device_jitter(device)
        x = process.minute(self.seed, device, minute, cadence=jitter.cadence, intensity=jitter.intensity)
        if self.jitter:
            x = x @ jitter.rotation.T.astype(np.float32)
        limit = np.float32(process.profile.range_g)
        return np.clip(x, -limit, limit)

    def blocks(self, profile: np.ndarray, device: np.ndarray, minute: np.ndarray) -> np.ndarray:
        """Minutes of devices. profile: int (B,), indices into the reference's profiles; device: int64 (B,);
        minute: int64 (B,), minutes since 1970. Returns float32 (B, 600, 3), total acceleration in g."""
        out = np.empty((len(profile), MINUTE, 3), np.float32)
        for row, (p, d, m) in enumerate(zip(profile, device, minute, strict=True)):
            out[row] = self.block(int(p), int(d), int(m))
        return out
