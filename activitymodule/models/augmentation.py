"""Copies of recorded runs as another person, wrist or watch would have made them, to learn from.

A copy is a run at another tempo, with larger or smaller movements, both of which change as it goes on, on a watch that
is turned a little on the wrist, whose maker calls the other axis of the screen x, or whose sensor is less precise. What
is drawn for a copy depends on its run and number alone, not on the order or the parts in which recordings are read.

T. T. Um et al. (2017), Data augmentation of wearable sensor data for Parkinson's disease monitoring, ICMI 2017.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activitymodule.settings import Augmentation
from activitymodule.windows.packing import CHANNELS, RECORD

_ACCELERATION, _ROTATION = slice(0, 3), slice(3, 6)
_BY_TEMPO = [*range(3, 6), CHANNELS.index("steps"), CHANNELS.index("speed")]
_CHANGE_SECONDS = 3.0  # within which tempo and size become others
_SWAP = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class Change:
    """How a copy differs from its run.

    tempo : 1.2 is a fifth faster; size : of the acceleration about its mean, 1.2 is a fifth larger
    tempo_change, size_change : standard deviation of their logarithm over the run
    frame : (3, 3), from the axes of the run to those of the copy; noise_g : standard deviation, g
    """

    tempo: float = 1.0
    size: float = 1.0
    tempo_change: float = 0.0
    size_change: float = 0.0
    frame: np.ndarray | None = None
    noise_g: float = 0.0


def drawn(setting: Augmentation, dice: np.random.Generator) -> Change:
    """A change at random: tempo and size by their logarithm, a slower movement being a smaller one."""
    tempo = _between(setting.tempo, dice)
    # acceleration goes with the square of the tempo where the way is the same, people shorten the way as well
    size = tempo ** dice.uniform(0, 2) * _between(setting.size, dice)
    frame = _turned(np.deg2rad(setting.turn_degrees) * dice.uniform(-1, 1), dice.normal(size=3))
    if dice.random() < setting.swapped:
        frame = frame @ _SWAP
    return Change(
        tempo,
        size,
        dice.uniform(0, setting.tempo_change),
        dice.uniform(0, setting.size_change),
        frame,
        dice.uniform(0, setting.noise_g),
    )


def changed(
    records: np.ndarray, change: Change, rate_hz: int, dice: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A copy of one run, and the place in the run that each of its readings comes from.

    records : RECORDs (n,) in the order of time. Returns RECORDs (n_copy,) at `rate_hz` from the run's start, and
    int64 (n_copy,); nothing is made up for gaps.
    """
    stamps = records["stamp_us"]
    since = (stamps - stamps[0]) / 1e6
    if len(since) == 1:
        return records[:0], np.empty(0, np.int64)
    # twice what the tempo alone makes of the run, for where it gets slower
    most = int(2 * since[-1] * rate_hz / change.tempo) + 2
    tempo = change.tempo * np.exp(change.tempo_change * _wandering(most, rate_hz, dice))
    wanted = np.concatenate([[0.0], np.cumsum(tempo[:-1]) / rate_hz])
    wanted = wanted[wanted <= since[-1] + 1e-9]
    tempo = tempo[: len(wanted)]
    right = np.clip(np.searchsorted(since, wanted), 1, len(since) - 1)
    left = right - 1
    nearest = np.where(wanted - since[left] <= since[right] - wanted, left, right)
    near = np.abs(since[nearest] - wanted) <= 1 / rate_hz
    share = (wanted - since[left]) / (since[right] - since[left])
    values = records["values"].astype(np.float64)
    found = values[left] + (values[right] - values[left]) * share[:, None]
    # a count belongs to one reading, and is not between two
    found[:, _BY_TEMPO[3:]] = values[nearest][:, _BY_TEMPO[3:]]
    found[:, _BY_TEMPO] *= tempo[:, None]
    total = found[:, _ACCELERATION]
    mean = np.nanmean(values[:, _ACCELERATION], axis=0) if np.isfinite(total).any() else 0.0
    size = change.size * np.exp(change.size_change * _wandering(len(wanted), rate_hz, dice))
    found[:, _ACCELERATION] = mean + (total - mean) * size[:, None]
    if change.frame is not None:
        found[:, _ACCELERATION] = found[:, _ACCELERATION] @ change.frame.T
        found[:, _ROTATION] = found[:, _ROTATION] @ change.frame.T
    if change.noise_g:
        found[:, _ACCELERATION] += dice.normal(scale=change.noise_g, size=(len(found), 3))
    copy = np.empty(len(wanted), RECORD)
    copy["stamp_us"] = stamps[0] + np.arange(len(wanted)) * (1_000_000 // rate_hz)
    copy["values"] = found
    return copy[near], nearest[near]


def copies_of_runs(
    records: np.ndarray, run: np.ndarray, names: Sequence[str], copy: int, setting: Augmentation, rate_hz: int
) -> tuple[np.ndarray, np.ndarray]:
    """One copy of each run: RECORDs (n_copies,), and the place of the reading that each comes from, int64.

    records : (n,), with `run` (n,) that counts up from 0; names : of each run, what it is drawn by; copy : its number
    """
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    ends = np.append(starts[1:], len(run))
    parts, origins = [records[:0]], [np.empty(0, np.int64)]
    for name, start, end in zip(names, starts, ends, strict=True):
        digest = hashlib.sha256(f"{name}\n{copy}".encode()).digest()
        dice = np.random.default_rng(int.from_bytes(digest[:16], "big"))
        made, origin = changed(records[start:end], drawn(setting, dice), rate_hz, dice)
        parts.append(made)
        origins.append(origin + start)
    return np.concatenate(parts), np.concatenate(origins)


def _wandering(n: int, rate_hz: int, dice: np.random.Generator) -> np.ndarray:
    """A smooth random course of n slots, of standard deviation 1 where it turns: (n,)."""
    place = np.arange(n) / (_CHANGE_SECONDS * rate_hz)
    whole = place.astype(int)
    knots = dice.normal(size=n // int(_CHANGE_SECONDS * rate_hz) + 2)
    share = (1 - np.cos(np.pi * (place - whole))) / 2
    return np.asarray(knots[whole] * (1 - share) + knots[whole + 1] * share)


def _between(ends: tuple[float, float], dice: np.random.Generator) -> float:
    return float(np.exp(dice.uniform(np.log(ends[0]), np.log(ends[1]))))


def _turned(angle: float, about: np.ndarray) -> np.ndarray:
    """The rotation by an angle in rad about a direction (Rodrigues), (3, 3)."""
    x, y, z = about / np.linalg.norm(about)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
