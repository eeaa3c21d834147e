"""Gravity in a watch's frame: the standard value, the attitude it follows from, and how to separate it.

The frame is Core Motion's (Apple, CMDeviceMotion): a watch at rest, face up, measures z = -1 g.
"""

from __future__ import annotations

import numpy as np

STANDARD_GRAVITY = 9.80665
"""m/s2 in one g (BIPM, CGPM 1901)."""

_HALF_WIDTH = 10  # readings on either side that the running mean covers: 2.1 s at 10 Hz


def gravity_of(pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Gravity in g from the attitude: (cos pitch sin roll, -sin pitch, -cos pitch cos roll).

    pitch, roll : float64 ndarray of shape (n,), rad. Returns float64 ndarray of shape (n, 3).
    """
    cos_pitch = np.cos(pitch)
    return np.stack([cos_pitch * np.sin(roll), -np.sin(pitch), -cos_pitch * np.cos(roll)], axis=1)


def attitude_and_rest(total: np.ndarray, gravity: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pitch and roll of the direction of gravity, and what the total acceleration has beyond it.

    total, gravity : ndarray of shape (n, 3), g. Returns pitch and roll, float32 (n,) in rad, and the user
    acceleration, float64 (n, 3): what is left after the rounded angles, so that user acceleration plus
    `gravity_of(pitch, roll)` is the total again. NaN where gravity is NaN; gravity of size 0 points down.
    """
    length = np.linalg.norm(gravity, axis=1)
    down = np.tile([0.0, 0.0, -1.0], (len(gravity), 1))
    np.divide(gravity, length[:, None], out=down, where=~(length[:, None] <= 0))
    pitch = -np.arcsin(np.clip(down[:, 1], -1, 1)).astype(np.float32)
    roll = np.arctan2(down[:, 0], -down[:, 2]).astype(np.float32)
    return pitch, roll, total - gravity_of(pitch.astype(float), roll.astype(float))


def split_gravity(total: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Total acceleration at 10 Hz to pitch, roll and user acceleration; gravity is the mean over 2.1 s.

    total : ndarray of shape (n, 3), g. Returns pitch and roll, float32 (n,) in rad, and the user acceleration,
    float32 (n, 3), such that user acceleration plus gravity is the total again.
    """
    pitch, roll, user = attitude_and_rest(total, _moving_mean(total))
    return pitch, roll, user.astype(np.float32)


def _moving_mean(values: np.ndarray) -> np.ndarray:
    """Mean of each row and up to _HALF_WIDTH neighbours on either side, fewer at the ends; shape as given."""
    n = len(values)
    sums = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    low = np.maximum(np.arange(n) - _HALF_WIDTH, 0)
    high = np.minimum(np.arange(n) + _HALF_WIDTH + 1, n)
    return np.asarray((sums[high] - sums[low]) / (high - low)[:, None])
