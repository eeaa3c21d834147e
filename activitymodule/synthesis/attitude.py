"""Attitude of the watch: gravity, angles, rotation rates and user acceleration from the total
acceleration.

Axes and signs are Core Motion's: gravity = (cos pitch sin roll, -sin pitch, -cos pitch cos roll) in g, and
total acceleration = user acceleration + gravity. Arrays are float32 of shape (blocks, readings) at 10 Hz
unless said.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

RATE_HZ = 10
GRAVITY_HZ = 0.5  # what is slower is gravity turning, what is quicker is the wearer's own acceleration


class Vector(NamedTuple):
    """Three components, each of shape (blocks, readings)."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    def norm(self) -> np.ndarray:
        """Length, of shape (blocks, readings)."""
        return np.sqrt(self.x * self.x + self.y * self.y + self.z * self.z)

    def cross(self, other: Vector) -> Vector:
        """Cross product."""
        return Vector(
            self.y * other.z - self.z * other.y,
            self.z * other.x - self.x * other.z,
            self.x * other.y - self.y * other.x,
        )


def gravity_direction(total: Vector) -> Vector:
    """Unit vector of gravity: the acceleration below GRAVITY_HZ (Gaussian, symmetric in time)."""
    sigma = RATE_HZ / (2 * np.pi * GRAVITY_HZ)
    slow = Vector(*(gaussian_filter1d(part, sigma, axis=1, mode="nearest", truncate=3.0) for part in total))
    length = np.maximum(slow.norm(), 1e-3)
    return Vector(slow.x / length, slow.y / length, slow.z / length)


def pitch_and_roll(gravity: Vector) -> tuple[np.ndarray, np.ndarray]:
    """Pitch (-pi/2 to pi/2) and roll (-pi to pi) in rad of a unit gravity."""
    return np.arcsin(np.clip(-gravity.y, -1, 1)), np.arctan2(gravity.x, -gravity.z)


def gravity_of(pitch: np.ndarray, roll: np.ndarray) -> Vector:
    """Gravity in g of pitch and roll in rad."""
    flat = np.cos(pitch)
    return Vector(flat * np.sin(roll), -np.sin(pitch), -flat * np.cos(roll))


def rotation_rates(gravity: Vector, yaw: np.ndarray) -> Vector:
    """Angular velocity in rad/s of the watch's own axes.

    A fixed direction seen from a turning watch changes by g' = g x w. The smallest w that turns gravity so is
    g' x g; the turn about the vertical, which gravity does not see, is the change of yaw (unwrapped, rad).
    """
    change = Vector(*(np.gradient(part, 1 / RATE_HZ, axis=1) for part in gravity))
    tilt = change.cross(gravity)
    turn = np.gradient(yaw, 1 / RATE_HZ, axis=1)
    return Vector(tilt.x - turn * gravity.x, tilt.y - turn * gravity.y, tilt.z - turn * gravity.z)
