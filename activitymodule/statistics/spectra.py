"""Cross-spectra: estimated from covariances, stored in triangular bands, turned back into filters."""

from __future__ import annotations

import numpy as np

from activitymodule.statistics.profile import BANDS_HZ, PAIRS, RATE_HZ

BLOCK = 640
"""Samples of one noise block: a minute and the 4 s that fade into the next."""
BLOCK_HZ = np.fft.rfftfreq(BLOCK, 1 / RATE_HZ)

_BIN_WEIGHT = np.full(BLOCK // 2 + 1, 2.0)
_BIN_WEIGHT[0] = _BIN_WEIGHT[-1] = 1.0


def _hats() -> np.ndarray:
    """(n_bands, n_frequencies) triangular functions that sum to one at every frequency."""
    return np.stack([np.interp(BLOCK_HZ, BANDS_HZ, row) for row in np.eye(len(BANDS_HZ))])


HATS = _hats()


def lagged_covariance(z: np.ndarray, member: np.ndarray, lags: int, least_pairs: int = 10) -> np.ndarray:
    """(lags + 1, 3, 3) covariance of z (n, 3) at lags of 0 .. `lags` samples, over pairs of members.

    `member` (n,) is 0 or 1. Tapered by a Parzen window (Parzen 1961), so that its transform is near positive.
    """
    n = len(z)
    u = np.arange(lags + 1) / (lags + 1)
    taper = np.where(u <= 0.5, 1 - 6 * u**2 + 6 * u**3, 2 * (1 - u) ** 3)
    inside = z * member[:, None]
    covariance = np.zeros((lags + 1, 3, 3))
    for lag in range(min(lags + 1, n)):
        pairs = (member[lag:] * member[: n - lag]).sum()
        if pairs > least_pairs or lag == 0:
            covariance[lag] = inside[lag:].T @ inside[: n - lag] / max(pairs, 1) * taper[lag]
    return covariance


def spectrum(covariance: np.ndarray) -> np.ndarray:
    """(n_frequencies, 3, 3) Hermitian, non-negative cross-spectrum at BLOCK_HZ of a lagged covariance."""
    lags = len(covariance)
    circular = np.zeros((BLOCK, 3, 3))
    circular[:lags] = covariance
    circular[BLOCK - lags + 1 :] = np.swapaxes(covariance[1:], 1, 2)[::-1]
    s = np.fft.fft(circular, axis=0)[: BLOCK // 2 + 1]
    return _nonnegative((s + np.conj(np.swapaxes(s, 1, 2))) / 2)


def _nonnegative(s: np.ndarray, floor: float = 1e-6) -> np.ndarray:
    w, v = np.linalg.eigh(s)
    return np.asarray(np.einsum("...ij,...j,...lj->...il", v, np.maximum(w, floor), v.conj()))


def to_bands(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A cross-spectrum as what is stored of it: log power (21, 3) and complex coherence of PAIRS (21, 3)."""
    weights = HATS / HATS.sum(1, keepdims=True)
    banded = np.einsum("bf,fij->bij", weights, s)
    power = np.maximum(np.einsum("bii->bi", banded).real, 1e-9)
    coherence = np.stack([banded[:, i, j] / np.sqrt(power[:, i] * power[:, j]) for i, j in PAIRS], axis=1)
    return np.log(power), coherence


def from_bands(log_power: np.ndarray, coherence: np.ndarray) -> np.ndarray:
    """(n_frequencies, 3, 3) cross-spectrum at BLOCK_HZ, linear between the bands."""
    amplitude = np.exp(log_power / 2)
    banded = np.zeros((len(log_power), 3, 3), complex)
    for channel in range(3):
        banded[:, channel, channel] = amplitude[:, channel] ** 2
    for pair, (i, j) in enumerate(PAIRS):
        banded[:, i, j] = coherence[:, pair] * amplitude[:, i] * amplitude[:, j]
        banded[:, j, i] = banded[:, i, j].conj()
    return np.asarray(np.einsum("bf,bij->fij", HATS, banded))


def variance(log_power: np.ndarray) -> np.ndarray:
    """(3,) variance of the process that `from_bands` describes."""
    return np.asarray((_BIN_WEIGHT @ HATS.T / BLOCK) @ np.exp(log_power))


def with_variance(log_power: np.ndarray, target: np.ndarray) -> np.ndarray:
    """log_power shifted, channel by channel, so that the variance is `target` (3,)."""
    return log_power + np.log(np.maximum(target, 1e-9) / variance(log_power))


def root(s: np.ndarray) -> np.ndarray:
    """(3, 3, n_frequencies) complex64 symmetric square root of a cross-spectrum.

    The symmetric root keeps two regimes' signals aligned when the same white noise drives both.
    """
    w, v = np.linalg.eigh(s)
    half = np.einsum("fij,fj,flj->ilf", v, np.sqrt(np.maximum(w, 0.0)), v.conj())
    return np.ascontiguousarray(half.astype(np.complex64))
