"""Calibration of a profile: realise it, compare its spectra with the recording's, correct the band powers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from activitymodule.statistics import spectra
from activitymodule.statistics.process import Process
from activitymodule.statistics.profile import BANDS_HZ, RATE_HZ, Profile, Regime, tangent_basis
from activitymodule.telemetry.gravity import STANDARD_GRAVITY

_SEGMENT = 100
_CALIBRATION_MINUTES = 4
_DAMPING = 0.6
_MOST_GAIN = 1.4
_CALIBRATION_SEED = 99
_SMOOTHING_HZ = 0.3


def typical_spectrum(x: np.ndarray) -> np.ndarray:
    """(4, 51) geometric mean over half-overlapping 10 s segments of the spectra of x, y, z (n, 3) in g and of
    their magnitude.

    Geometric, because that is what a typical window looks like; the mean is that of the liveliest few.
    """
    channels = np.concatenate([x, np.linalg.norm(x, axis=1, keepdims=True)], axis=1)
    starts = np.arange(0, len(x) - _SEGMENT + 1, _SEGMENT // 2)
    segments = channels[starts[:, None] + np.arange(_SEGMENT)]
    segments = segments - segments.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(segments * np.hanning(_SEGMENT)[None, :, None], axis=1)) ** 2
    return np.asarray(np.exp(np.log(power + 1e-5 / STANDARD_GRAVITY**2).mean(axis=0)).T)


def calibrate(profile: Profile, x: np.ndarray, rounds: int) -> Profile:
    """The profile with band gains such that what it realises has the typical spectrum of x (n, 3).

    Regimes differ in their coordinates, windows show x, y, z and magnitude: an axis' error goes to a regime's
    tangents by the squares of their direction cosines. The variance of each channel stays; gains are damped,
    smooth over frequency and bounded.
    """
    wanted = typical_spectrum(x)
    frequency = np.fft.rfftfreq(_SEGMENT, 1 / RATE_HZ)
    hat = np.maximum(1 - np.abs(frequency - BANDS_HZ[:, None]) / _SMOOTHING_HZ, 0)
    hat[:, 0] = 0  # each segment is centred: nothing is known at 0 Hz
    hat /= hat.sum(axis=1, keepdims=True)
    gain = np.zeros((4, len(BANDS_HZ)))

    def adjusted(regime: Regime) -> Regime:
        channels = gain[:3]
        if profile.spherical:
            cosines = tangent_basis(regime.direction)[:2] ** 2
            channels = np.concatenate([cosines @ gain[:3], gain[3:]])
        log_power = regime.log_power + 2 * channels.T
        return replace(regime, log_power=spectra.with_variance(log_power, spectra.variance(regime.log_power)))

    current = profile
    for turn in range(rounds):
        process = Process(current)
        first = 1000 + 10 * turn
        minutes = range(first, first + _CALIBRATION_MINUTES)
        made = np.concatenate([process.minute(_CALIBRATION_SEED, 0, minute) for minute in minutes])
        gain += _DAMPING * (0.5 * np.log(wanted / typical_spectrum(made))) @ hat.T
        middle = gain.mean(axis=1, keepdims=True)
        gain = np.clip(gain, middle - _MOST_GAIN, middle + _MOST_GAIN)
        current = replace(profile, regimes=tuple(adjusted(r) for r in profile.regimes))
    return current
