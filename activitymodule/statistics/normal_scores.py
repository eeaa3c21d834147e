"""Normal scores of a regime: its marginal distributions, stride and slow change of amplitude taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from activitymodule.statistics import gait
from activitymodule.statistics.profile import HARMONICS, LEVELS, RATE_HZ

# a score given its volatility: Gauss-Hermite nodes, and the scores at which its distribution is tabled
_NODES, _weights = np.polynomial.hermite_e.hermegauss(9)
_NODE_WEIGHTS = _weights / _weights.sum()
_SCORES = np.linspace(-6, 6, 241)
_PHASES = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_RIDGE = 2.0
_CYCLE_RIDGE = np.diag([0.0, 20, 20, 20, 20])
_MOST_VOLATILITY = 1.0


@dataclass(frozen=True)
class Scored:
    """A regime in normal scores: residual (n, 3), what the stride explains, the quantile levels to store."""

    residual: np.ndarray
    template: np.ndarray
    cycle: np.ndarray
    volatility: float
    memory: float
    levels: np.ndarray
    """(17, 3) probability of each LEVELS score under the process."""


def score_still(rank: np.ndarray, member: np.ndarray, before: float | None) -> Scored:
    """Scores without a stride. `rank` (n, 3) in (0, 1)."""
    volatility, memory = _volatility(spread_out(ndtri(rank), member), member, before)
    below = ndtr(_SCORES[:, None] / _amplitudes(volatility)) @ _NODE_WEIGHTS
    levels = np.interp(LEVELS, _SCORES, below).clip(0, 1)
    return Scored(
        np.interp(rank, below, _SCORES),
        np.zeros((2 * HARMONICS, 3)),
        np.zeros((4, 3)),
        volatility,
        memory,
        np.repeat(levels[:, None], 3, axis=1),
    )


def score_gait(rank: np.ndarray, phase: np.ndarray, member: np.ndarray, before: float | None) -> Scored:
    """Scores with a stride: alternately the template given the scores, and the scores given the model."""
    wave = gait.waves(phase, HARMONICS)
    picked = [0, 1, HARMONICS, HARMONICS + 1]
    cycle_wave = np.concatenate([np.ones((len(phase), 1)), wave[:, picked]], axis=1)
    wave_grid = gait.waves(_PHASES, HARMONICS)
    cycle_grid = np.concatenate([np.ones((len(_PHASES), 1)), wave_grid[:, picked]], axis=1)
    gram = wave.T @ wave + _RIDGE * np.eye(2 * HARMONICS)
    cycle_gram = cycle_wave.T @ cycle_wave + _CYCLE_RIDGE
    scores = ndtri(rank)
    for _ in range(3):
        template = np.linalg.solve(gram, wave.T @ scores)
        residual = scores - wave @ template
        cycle = np.linalg.solve(cycle_gram, cycle_wave.T @ np.log(np.abs(residual) + 0.03))
        cycle[0] = 0
        residual = residual / np.exp(cycle_wave @ cycle)
        volatility, memory = _volatility(spread_out(residual, member), member, before)
        scale = np.exp(cycle_grid @ cycle) * residual.std(axis=0)
        # distribution of the score under the model: mean over the stride's phases and the volatility
        away = (_SCORES[:, None, None] - (wave_grid @ template)[None]) / scale
        below = ndtr(away[..., None] / _amplitudes(volatility)).mean(axis=1) @ _NODE_WEIGHTS
        scores = np.stack([np.interp(rank[:, c], below[:, c], _SCORES) for c in range(3)], axis=1)
    levels = np.stack([np.interp(LEVELS, _SCORES, below[:, c]) for c in range(3)], axis=1).clip(0, 1)
    return Scored(residual, template, cycle[1:], volatility, memory, levels)


def spread_out(residual: np.ndarray, member: np.ndarray) -> np.ndarray:
    """The residual at its place among all samples, 0 elsewhere; shape (len(member), 3)."""
    full = np.zeros((len(member), 3))
    full[member > 0] = residual
    return full


def _volatility(scores: np.ndarray, member: np.ndarray, before: float | None) -> tuple[float, float]:
    """Standard deviation and one-second memory of the slow logarithmic amplitude of scores (n, 3).

    From the energy of differences, second by second; the sampling noise of a second's energy is taken off.
    """
    difference = np.diff(scores, axis=0, prepend=scores[:1])
    whole = member * np.r_[0, member[:-1]] > 0
    seconds = whole[: len(whole) // RATE_HZ * RATE_HZ].reshape(-1, RATE_HZ).all(axis=1)
    if seconds.sum() < 4:
        return (0.3 if before is None else before), 0.5
    blocks = difference[: len(seconds) * RATE_HZ].reshape(-1, RATE_HZ, 3)[seconds]
    covariance = np.einsum("fti,ftj->ij", blocks, blocks) / (len(blocks) * RATE_HZ) + 1e-8 * np.eye(3)
    energy = np.einsum("fti,ij,ftj->f", blocks, np.linalg.inv(covariance), blocks) / (3 * RATE_HZ)
    amplitude = 0.5 * np.log(energy + 1e-6)
    spread = amplitude.var() - 0.5 / 24
    adjacent = np.flatnonzero(np.diff(np.flatnonzero(seconds)) == 1)
    centred = amplitude - amplitude.mean()
    memory = 0.5
    if len(adjacent) > 5:
        memory = (centred[adjacent] * centred[adjacent + 1]).mean() / max(spread, 1e-3)
    return (
        float(np.clip(np.sqrt(max(spread, 0)), 0, _MOST_VOLATILITY)),
        float(np.clip(memory, 0, 0.9)),
    )


def _amplitudes(volatility: float) -> np.ndarray:
    """Amplitude at each quadrature node; its mean square is one."""
    return np.asarray(np.exp(volatility * _NODES - volatility**2))
