"""What is stored of one person doing one activity: a profile, made of regimes.

A regime is a way of holding and moving the wrist that a recording returns to. Of each are kept: how often
it occurs and what follows it, the direction of gravity, 17 quantiles a coordinate, the cross-spectrum of the
motion in 21 bands, and, where there is a gait, the mean stride. Nothing here is a reading.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE_HZ = 10
LEAST_FRAMES = 5
"""A regime seen in fewer frames is merged with its nearest: too few to be a statistic of anything."""

LEVELS = np.linspace(-3.2, 3.2, 17)
"""Normal scores at which the marginal distributions are stored."""

BANDS_HZ = np.linspace(0.0, RATE_HZ / 2, 21)
"""Centres of the triangular bands in which the cross-spectra are stored."""

HARMONICS = 6
"""Harmonics of the stride that a template may have."""

PAIRS = ((0, 1), (0, 2), (1, 2))
"""Order of the channel pairs of a coherence."""


@dataclass(frozen=True)
class Regime:
    """One regime of a profile. Coordinates are the profile's: see `Profile.spherical`."""

    frames: int
    """Frames of the recording that belong to it, at least LEAST_FRAMES."""
    occupancy: float
    """Share of the frames."""
    transitions: np.ndarray
    """(n_regimes,) chance of each regime in the next frame."""
    direction: np.ndarray
    """(3,) unit vector of the mean acceleration."""
    hold: np.ndarray
    """(3, 3) root of the covariance, over visits, of the visit's mean coordinates."""
    quantiles: np.ndarray
    """(3, 17) coordinate values at LEVELS of the process' own score."""
    log_power: np.ndarray
    """(21, 3) natural logarithm of the spectrum of each channel's score, whose mean is the variance."""
    coherence: np.ndarray
    """(21, 3) complex coherence of PAIRS."""
    volatility: float
    """Standard deviation of the slow logarithmic change of amplitude."""
    template: np.ndarray
    """(2 * HARMONICS, 3) cosine then sine coefficients of the stride, in scores; zero without gait."""
    cycle: np.ndarray
    """(4, 3) log amplitude of the residual over the stride: cos 1, cos 2, sin 1, sin 2; zero without gait."""


@dataclass(frozen=True)
class Profile:
    """One person x one activity."""

    person: str
    activity: str
    spherical: bool
    """True: coordinates are two angles (rad) about the regime's direction and the magnitude (g), so that
    posture moves on the sphere of gravity; False: x, y, z (g)."""
    frame_samples: int
    """Length of a frame of the regime path, in samples of 1 / RATE_HZ s."""
    stride_hz: float
    """Frequency of the whole arm cycle (two steps); 0 without gait."""
    stride_sd_hz: float
    """Standard deviation of the stride frequency that is synthesised."""
    stride_memory: float
    """AR(1) coefficient, a sample, of the stride frequency."""
    volatility_memory: float
    """AR(1) coefficient, a second, of the logarithmic amplitude."""
    range_g: float
    """Largest acceleration along an axis in any of the person's recordings: how far their sensor reaches."""
    regimes: tuple[Regime, ...]

    @property
    def gait(self) -> bool:
        """Whether the activity has a stride."""
        return self.stride_hz > 0


def tangent_basis(direction: np.ndarray) -> np.ndarray:
    """(3, 3) orthonormal rows: two tangents of the sphere at `direction`, and `direction` itself."""
    c = direction / np.linalg.norm(direction)
    axis = np.array([1.0, 0, 0]) if abs(c[0]) < 0.8 else np.array([0, 1.0, 0])
    e1 = np.cross(c, axis)
    e1 /= np.linalg.norm(e1)
    return np.stack([e1, np.cross(c, e1), c])


def to_spherical(x: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(n, 3) accelerations in g -> (n, 3): the two tangent angles (rad; their norm is the angle to the
    direction of the basis) and the magnitude (g)."""
    magnitude = np.linalg.norm(x, axis=1)
    q = x @ basis.T
    across = np.hypot(q[:, 0], q[:, 1])
    scale = np.arctan2(across, q[:, 2]) / np.maximum(across, 1e-9)
    return np.stack([q[:, 0] * scale, q[:, 1] * scale, magnitude], axis=1)
