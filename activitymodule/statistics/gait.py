"""The stride of a recording: its mean frequency and its phase at every sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activitymodule.statistics.profile import RATE_HZ

_LAGS_PER_SAMPLE = 10
_SHORTEST_S, _LONGEST_S = 0.6, 1.45
"""An arm cycle (two steps) lies between these: 0.7 to 1.7 Hz, slow walking to fast running."""


@dataclass(frozen=True)
class Stride:
    """hz: mean frequency; phase: (n,) rad; deviation_hz: (n - 1,) frequency less its mean; periodicity:
    height of the autocorrelation's peak, at most 1."""

    hz: float
    phase: np.ndarray
    deviation_hz: np.ndarray
    periodicity: float


def lowpass(x: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Gaussian low-pass of x (n, ...) with mirrored ends; complex."""
    n = len(x)
    pad = min(n - 1, 100)
    mirrored = np.concatenate([x[pad:0:-1], x, x[-2 : -pad - 2 : -1]])
    gain = np.exp(-0.5 * (np.fft.fftfreq(len(mirrored), 1 / RATE_HZ) / cutoff_hz) ** 2)
    filtered = np.fft.ifft(np.fft.fft(mirrored, axis=0) * gain.reshape((-1,) + (1,) * (x.ndim - 1)), axis=0)
    return np.asarray(filtered[pad : pad + n])


def _autocorrelation(centred: np.ndarray) -> np.ndarray:
    """Autocorrelation summed over the axes at lags of 1 / (10 RATE_HZ) s, unbiased."""
    n = len(centred)
    power = (np.abs(np.fft.fft(centred, 4 * n, axis=0)) ** 2).sum(1)
    half = len(power) // 2
    padded = np.zeros(len(power) * _LAGS_PER_SAMPLE)
    padded[:half], padded[-half:] = power[:half], power[-half:]
    r = np.fft.ifft(padded).real
    return np.asarray(r / r[0] * n / (n - np.arange(len(r)) / _LAGS_PER_SAMPLE).clip(1))


def stride(x: np.ndarray) -> Stride:
    """The stride of accelerations x (n, 3): autocorrelation for the period, then complex demodulation.

    Of the peaks within a tenth of the highest the earliest counts, so that two strides are not taken for one;
    the phase comes from the stronger of the first two harmonics, on the axis that carries most of it.
    """
    n = len(x)
    centred = x - lowpass(x, 0.3).real
    r = _autocorrelation(centred)
    scale = RATE_HZ * _LAGS_PER_SAMPLE
    lags = np.arange(int(_SHORTEST_S * scale), int(_LONGEST_S * scale) + 1)
    peaks = [lag for lag in lags if r[lag] >= r[lag - 1] and r[lag] >= r[lag + 1]] or [lags[r[lags].argmax()]]
    highest = max(r[lag] for lag in peaks)
    hz = scale / next(lag for lag in peaks if r[lag] >= highest - 0.1 * abs(highest))

    t = np.arange(n) / RATE_HZ
    strongest, deviation = -1.0, np.zeros(n)
    for harmonic in (1, 2):
        shifted = lowpass(centred * np.exp(-2j * np.pi * harmonic * hz * t)[:, None], 0.18)
        w, v = np.linalg.eigh(shifted.T @ shifted.conj())
        if w[-1] > strongest:
            strongest = float(w[-1])
            deviation = np.unwrap(np.angle(shifted @ v[:, -1].conj())) / harmonic
    slope, start = np.polyfit(t, deviation, 1)
    mean_hz = hz + slope / (2 * np.pi)
    residual = deviation - np.polyval([slope, start], t)
    phase = 2 * np.pi * mean_hz * t + residual + start
    return Stride(float(mean_hz), phase, np.diff(residual) * RATE_HZ / (2 * np.pi), float(highest))


def waves(phase: np.ndarray, harmonics: int) -> np.ndarray:
    """(n, 2 * harmonics) cosines then sines of the first harmonics of a phase (n,)."""
    angle = np.outer(phase, np.arange(1, harmonics + 1))
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
