"""Readings of synthesised watches: every channel of any (device, second), as numbers already rounded.

A minute of one device is made at a time (the signal generator's block) and kept, because a row of the fleet
is one second. Minutes are the device's own: they begin 0, 10, ... or 50 s after UTC's, by hash, so that a
live fleet does not make all its minutes at once; edges fall on multiples of 10 s, where windows have theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Protocol

import numpy as np

from activitymodule.statistics.reference import ReferenceStatistics
from activitymodule.synthesis.attitude import (
    RATE_HZ,
    Vector,
    gravity_direction,
    gravity_of,
    pitch_and_roll,
    rotation_rates,
)
from activitymodule.synthesis.draws import hashed, integer, uniform
from activitymodule.synthesis.energy import Bodies
from activitymodule.synthesis.plans import DayPlans, distinct
from activitymodule.synthesis.signals import SignalGenerator

BLOCK_SECONDS = 60
MOTION = (
    "yaw", "pitch", "roll",
    "rotation_rate_x", "rotation_rate_y", "rotation_rate_z",
    "user_acceleration_x", "user_acceleration_y", "user_acceleration_z",
)  # fmt: skip
DECIMALS = {name: 3 if name.startswith("rotation") else 4 for name in MOTION} | {
    "heart_rate": 1, "speed": 2, "course": 1,
}  # fmt: skip
"""Decimals of a channel; channels travel as integers of its last decimal."""

# A minute holds 600 readings of 9 channels: about 24 kB. What is above this many is made again when needed.
MOST_BLOCKS = 12_000
BATCH_BLOCKS = 64  # made in one numpy pass: large enough to be quick, small enough for the processor's cache

FADE_READINGS = 11  # a change of activity takes about a second
LIVELY = {"sitting": 0.03, "standing": 0.08}  # share of quick turns about the vertical; 1 for all others
GYROSCOPE_NOISE = 0.008  # rad/s
GYROSCOPE_SHAKE = 0.35  # rad/s for each g of user acceleration: what the low-pass leaves out of the attitude


class Signals(Protocol):
    """What makes total acceleration: see signals.SignalGenerator."""

    @property
    def activities(self) -> tuple[str, ...]:
        """The names of the activities."""

    def profile_for(self, device: int, activity: str) -> int:
        """The index of the profile that a device has for an activity."""

    def stride_hz(self, profile: int, device: int) -> float:
        """The stride frequency of a profile as a device walks it; 0 without a gait."""

    def blocks(self, profile: np.ndarray, device: np.ndarray, minute: np.ndarray) -> np.ndarray:
        """Total acceleration in g of whole minutes, float of shape (n, 600, 3)."""


@dataclass(frozen=True)
class Seconds:
    """n seconds of watches (or n x 60 of whole minutes); integers are in units of the last decimal."""

    motion: np.ndarray  # int32 (n, 10, 9), channels as in MOTION
    steps: np.ndarray  # int8 (n, 10)
    heart_rate: np.ndarray  # int32 (n,)
    speed: np.ndarray  # int32 (n,)
    course: np.ndarray  # int32 (n,); -1.0 degrees where the wearer stands still
    activity: np.ndarray  # int8 (n,), index into the activities
    bout_start: np.ndarray  # int64 (n,), UTC second
    bout_end: np.ndarray  # int64 (n,), UTC second
    kcal_per_min: np.ndarray  # float32 (n,)

    def take(self, index: np.ndarray) -> Seconds:
        """Some of the seconds, by index."""
        return Seconds(*(getattr(self, f.name)[index] for f in fields(self)))


class _Kept:
    """Minutes of watches already made: one array a channel, a place for each (device, minute)."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int], int] = {}  # oldest first
        self._free: list[int] = []
        self._room = 0
        self.rows: Seconds | None = None

    def __contains__(self, block: tuple[int, int]) -> bool:
        return block in self._places

    def places(self, blocks: list[tuple[int, int]]) -> np.ndarray:
        return np.array([self._places[block] for block in blocks], np.int64)

    def put(self, blocks: list[tuple[int, int]], made: Seconds, needed: set[tuple[int, int]]) -> None:
        """Keep what was made; the oldest minutes go where there is no room, but none of the needed."""
        if len(blocks) > len(self._free):
            if self._room < MOST_BLOCKS:
                self._grow(made, max(256, self._room, len(blocks)))
            for block in [b for b in self._places if b not in needed]:
                if len(self._free) >= len(blocks):
                    break
                self._free.append(self._places.pop(block))
            if len(blocks) > len(self._free):
                self._grow(made, len(blocks))
        places = [self._free.pop() for _ in blocks]
        rows = (np.array(places)[:, None] * BLOCK_SECONDS + np.arange(BLOCK_SECONDS)).ravel()
        for f in fields(Seconds):
            getattr(self.rows, f.name)[rows] = getattr(made, f.name)
        self._places.update(zip(blocks, places, strict=True))

    def _grow(self, like: Seconds, more: int) -> None:
        room = self._room + more
        grown = []
        for f in fields(Seconds):
            column = getattr(like, f.name)
            fresh = np.empty((room * BLOCK_SECONDS, *column.shape[1:]), column.dtype)
            if self.rows is not None:
                fresh[: self._room * BLOCK_SECONDS] = getattr(self.rows, f.name)
            grown.append(fresh)
        self.rows = Seconds(*grown)
        self._free += range(room - 1, self._room - 1, -1)
        self._room = room


class Watches:
    """All watches of a seed: readings of any (device, second)."""

    def __init__(self, signals: Signals, seed: int) -> None:
        self.seed = seed
        self.activities = tuple(signals.activities)
        self.plans = DayPlans(seed, self.activities)
        self.bodies = Bodies(self.plans, self.strides)
        self._signals = signals
        self._worn: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._kept = _Kept()

    def strides(self, device: np.ndarray) -> np.ndarray:
        """Stride frequency in Hz of each activity, float64 (n, activities); 0 for what has no gait."""
        return np.stack([self._wearing(d)[1] for d in np.asarray(device).tolist()])

    def _wearing(self, device: int) -> tuple[np.ndarray, np.ndarray]:
        """A device's profile and stride frequency of each activity."""
        found = self._worn.get(device)
        if found is None:
            profiles = [self._signals.profile_for(device, name) for name in self.activities]
            strides = np.array([self._signals.stride_hz(p, device) or 0.0 for p in profiles], np.float64)
            found = self._worn[device] = (np.array(profiles, np.int64), np.nan_to_num(strides))
        return found

    def offset(self, device: np.ndarray) -> np.ndarray:
        """Seconds by which a device's minutes begin before UTC's."""
        return 10 * integer("offset", 0, 5, self.seed, device)

    def seconds(self, device: np.ndarray, second: np.ndarray) -> Seconds:
        """Readings of each (device, UTC second), int64 arrays of shape (n,)."""
        device, second = np.asarray(device, np.int64), np.asarray(second, np.int64)
        minute, place = np.divmod(second + self.offset(device), BLOCK_SECONDS)
        blocks, index = distinct(np.stack([device, minute], 1))
        if len(blocks) > MOST_BLOCKS:
            half = len(device) // 2
            return joined(
                [self.seconds(device[:half], second[:half]), self.seconds(device[half:], second[half:])]
            )
        wanted = [(d, m) for d, m in blocks.tolist()]
        needed = set(wanted)
        missing = [block for block in wanted if block not in self._kept]
        for first in range(0, len(missing), BATCH_BLOCKS):
            part = missing[first : first + BATCH_BLOCKS]
            pairs = np.array(part, np.int64)
            self._kept.put(part, self.minutes(pairs[:, 0], pairs[:, 1]), needed)
        assert self._kept.rows is not None
        return self._kept.rows.take(self._kept.places(wanted)[index] * BLOCK_SECONDS + place)

    def minutes(self, device: np.ndarray, minute: np.ndarray) -> Seconds:
        """Whole minutes of n devices, int64 arrays of shape (n,): 60 n rows."""
        n = len(device)
        start = minute * BLOCK_SECONDS - self.offset(device)
        # one second before and one after, so that a change of activity at the edge fades on both sides of it
        around = start[:, None] + np.arange(-1, BLOCK_SECONDS + 1)
        state = self.bodies.state(np.repeat(device, around.shape[1]), around.ravel())
        activity = state.activity.reshape(n, -1)
        inside = np.zeros(around.shape, bool)
        inside[:, 1:-1] = True
        inside = inside.ravel()

        total, lively = self._acceleration(device, minute, activity)
        gravity = gravity_direction(total)
        pitch, roll = pitch_and_roll(gravity)
        yaw = self._yaw(device, start, lively)
        rates = self._gyroscope(device, minute, total, gravity, yaw)
        pitch, roll = _rounded(pitch, "pitch"), _rounded(roll, "roll")
        # from pitch and roll as they are sent, so that the receiver gets the total acceleration back
        sent = gravity_of(pitch * np.float32(1e-4), roll * np.float32(1e-4))
        motion = np.empty((n, BLOCK_SECONDS * RATE_HZ, len(MOTION)), np.int32)
        for number, values in enumerate(
            [
                _rounded((yaw + np.pi) % (2 * np.pi) - np.pi, "yaw"),
                pitch,
                roll,
                *(_rounded(part, "rotation_rate_x") for part in rates),
                *(
                    _rounded(all_ - down, "user_acceleration_x")
                    for all_, down in zip(total, sent, strict=True)
                ),
            ]
        ):
            motion[:, :, number] = values

        second, devices = around.ravel()[inside], np.repeat(device, BLOCK_SECONDS)
        bout_start = state.bout_start[inside]
        doing = state.activity[inside]
        rows = np.repeat(np.arange(n), BLOCK_SECONDS)
        stride = self.strides(device)[rows, doing]
        elapsed = (second - bout_start)[:, None] + np.arange(RATE_HZ + 1) / RATE_HZ
        steps = np.diff(np.floor(2 * stride[:, None] * elapsed + 1e-9), axis=1)
        speed = state.speed_m_per_s[inside]
        wobble = np.sin(2 * np.pi * (second / 17.0 + uniform("wobble", self.seed, devices)))
        heading = 360 * uniform("heading", self.seed, devices, bout_start) + 15 * wobble
        return Seconds(
            motion.reshape(-1, RATE_HZ, len(MOTION)),
            steps.astype(np.int8),
            _rounded(state.heart_rate_bpm[inside], "heart_rate"),
            _rounded(speed * (1 + 0.06 * wobble), "speed"),
            np.where(speed > 0, _rounded(heading % 359.9, "course"), -10),
            doing.astype(np.int8),
            bout_start,
            state.bout_end[inside],
            state.kcal_per_min[inside].astype(np.float32),
        )

    def _acceleration(
        self, device: np.ndarray, minute: np.ndarray, activity: np.ndarray
    ) -> tuple[Vector, np.ndarray]:
        """Total acceleration in g, (n, 600), of the activities (n, 62) and their liveliness."""
        n = len(device)
        doing = (activity[:, :, None] == np.arange(len(self.activities))).any(1)  # (n, activities)
        block, number = np.nonzero(doing)
        profiles = np.stack([self._wearing(d)[0] for d in device.tolist()])
        made = np.empty((len(block), BLOCK_SECONDS * RATE_HZ, 3), np.float32)
        for first in range(0, len(block), BATCH_BLOCKS):
            part = slice(first, first + BATCH_BLOCKS)
            made[part] = self._signals.blocks(
                profiles[block[part], number[part]], device[block[part]], minute[block[part]]
            )
        weight = np.ones((len(block), BLOCK_SECONDS * RATE_HZ), np.float32)
        mixed = doing.sum(1)[block] > 1
        if mixed.any():
            on = np.repeat(activity[block[mixed]] == number[mixed][:, None], RATE_HZ, axis=1).astype(
                np.float32
            )
            weight[mixed] = _faded(on)
        lively = np.zeros((n, BLOCK_SECONDS * RATE_HZ), np.float32)
        quick = np.array([LIVELY.get(name, 1.0) for name in self.activities], np.float32)
        np.add.at(lively, block, weight * quick[number][:, None])
        if not mixed.any():
            return Vector(made[..., 0], made[..., 1], made[..., 2]), lively
        summed = np.zeros((n, *made.shape[1:]), np.float32)
        np.add.at(summed, block, made * weight[..., None])
        total = Vector(summed[..., 0], summed[..., 1], summed[..., 2])
        # between two postures the mean of two directions is too short: give it the mean of their lengths
        length = np.zeros((n, BLOCK_SECONDS * RATE_HZ), np.float32)
        np.add.at(length, block, Vector(made[..., 0], made[..., 1], made[..., 2]).norm() * weight)
        stretch = np.clip(length / np.maximum(total.norm(), 1e-3), 1.0, 3.0)
        changing = np.zeros(length.shape, bool)
        np.logical_or.at(changing, block, (weight > 0) & (weight < 1))
        stretch = np.where(changing, stretch, np.float32(1))
        return Vector(total.x * stretch, total.y * stretch, total.z * stretch), lively

    def _yaw(self, device: np.ndarray, start: np.ndarray, lively: np.ndarray) -> np.ndarray:
        """Yaw in rad, unwrapped, (n, 600): slow turns for everybody, quick ones with the activity."""
        time = start[:, None] + np.arange(BLOCK_SECONDS * RATE_HZ) / RATE_HZ
        yaw = np.zeros(time.shape)
        for number, (period, height, share) in enumerate(
            [(601.0, 1.2, 0.0), (127.0, 0.5, 0.0), (31.0, 0.4, 1.0), (7.3, 0.15, 1.0)]
        ):
            phase = uniform("turn", self.seed, device, number)[:, None]
            yaw += height * np.sin(2 * np.pi * (time / period + phase)) * (lively if share else 1.0)
        return yaw

    def _gyroscope(
        self, device: np.ndarray, minute: np.ndarray, total: Vector, gravity: Vector, yaw: np.ndarray
    ) -> Vector:
        """Rotation rates in rad/s (n, 600): those of the attitude, and noise that grows with what shakes."""
        rates = rotation_rates(gravity, yaw)
        shake = Vector(*(all_ - down for all_, down in zip(total, gravity, strict=True))).norm()
        width = GYROSCOPE_NOISE + GYROSCOPE_SHAKE * shake
        keys = hashed("gyroscope", self.seed, device, minute)
        noise = np.stack(
            [
                np.random.Generator(np.random.Philox(key=int(key))).standard_normal(
                    (3, total.x.shape[1]), np.float32
                )
                for key in keys
            ]
        )
        return Vector(*(np.clip(rate + width * noise[:, i], -34.9, 34.9) for i, rate in enumerate(rates)))


def joined(parts: list[Seconds]) -> Seconds:
    """Seconds one after another."""
    return Seconds(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Seconds)))


def _rounded(values: np.ndarray, channel: str) -> np.ndarray:
    """Integers in units of the channel's last decimal."""
    return np.rint(values * 10 ** DECIMALS[channel]).astype(np.int32)


def _faded(on: np.ndarray) -> np.ndarray:
    """Weights (n, 600) of an activity that is on or off at (n, 620) readings, faded over a second."""
    kernel = np.hanning(FADE_READINGS + 2)[1:-1].astype(np.float32)
    kernel /= kernel.sum()
    half = FADE_READINGS // 2
    edge = RATE_HZ - half
    middle = on[:, edge : on.shape[1] - edge]
    return sum(k * middle[:, i : i + BLOCK_SECONDS * RATE_HZ] for i, k in enumerate(kernel))


@lru_cache(maxsize=2)
def watches(reference: str, seed: int) -> Watches:
    """The watches of this process, kept in a module so that a Spark worker finds them in its next task."""
    return Watches(SignalGenerator(ReferenceStatistics.load(reference), seed), seed)
