"""Cadence and regularity of the movement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from activitymodule.windows.arithmetic import product
from activitymodule.windows.families.base import (
    ACCELERATION,
    CHANNEL_TEXT,
    SPECTRUM_CHANNELS,
    Described,
    each,
    family,
)
from activitymodule.windows.grid import Grid
from activitymodule.windows.motion import Motion
from activitymodule.windows.spectra import power, with_sum_of_axes

LAGS_SECONDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
PEAK_LAGS_SECONDS = (0.3, 2.2)

FEATURES = [
    *each(
        SPECTRUM_CHANNELS,
        "peak",
        "",
        "highest peak of the autocorrelation of {} from .3 to 2.2 s; -1 without a peak",
    ),
    *each(SPECTRUM_CHANNELS, "peak_lag", "s", "lag of that peak of {}; 0 without a peak"),
    *each(SPECTRUM_CHANNELS, "first_lag", "s", "lag of the first peak of {}; 0 without a peak"),
    *each(SPECTRUM_CHANNELS, "min", "", "least autocorrelation of {} from .3 to 2.2 s"),
    *(
        Described(
            f"{channel}_at_{round(lag * 1000)}_ms",
            "",
            f"autocorrelation of {CHANNEL_TEXT[channel]} at {lag} s",
        )
        for channel in SPECTRUM_CHANNELS[3:]
        for lag in LAGS_SECONDS
    ),
]


@dataclass(frozen=True)
class Lags:
    """The lags of a grid, in slots.

    padded : length of the padded transform; weights : (frequencies of it, lags), the inverse transform at the lags
    that are looked at, as a matrix; first, last : those of the peaks; single : LAGS_SECONDS.
    """

    padded: int
    weights: np.ndarray
    first: int
    last: int
    single: list[int]


@lru_cache(maxsize=8)
def lags_of(grid: Grid) -> Lags:
    """The lags of a grid; those beyond the window's length are cut to it and never wrap."""
    first, last = (max(1, min(round(s * grid.rate), grid.slots - 1)) for s in PEAK_LAGS_SECONDS)
    single = [max(1, min(round(s * grid.rate), grid.slots - 1)) for s in LAGS_SECONDS]
    count = max(last, *single) + 1
    padded = fft.next_fast_len(grid.slots + count, real=True)
    bins = np.arange(padded // 2 + 1)
    twice = np.where((bins == 0) | (2 * bins == padded), 1.0, 2.0) / padded
    weights = twice[:, None] * np.cos(2 * np.pi * np.outer(bins, np.arange(count)) / padded)
    return Lags(padded, weights.astype(np.float32), first, last, single)


@family(sensor=ACCELERATION, features=FEATURES, order=9)
def autocorrelation(m: Motion) -> list[np.ndarray]:
    """How alike the movement is to itself a little later: the same six channels, from the power spectrum of the
    zero-padded movement (Wiener and Khinchin), not corrected for the shrinking overlap. Its peaks are cadence and
    regularity of gait.

    R. Moe-Nilssen, J. L. Helbostad (2004), Estimation of gait cycle characteristics by trunk accelerometry,
    Journal of Biomechanics 37(1).
    """
    grid, lags = m.grid, lags_of(m.grid)
    densities = with_sum_of_axes(power(m.centred, lags.padded))
    channels, windows, count = densities.shape
    r = product(densities.reshape(-1, count), lags.weights)
    r = r.reshape(channels, windows, -1)
    r /= r[..., :1] + np.float32(1e-9)
    span = r[..., lags.first : lags.last + 1]
    inner = span[..., 1:-1]
    peaks = (inner > span[..., :-2]) & (inner >= span[..., 2:])
    heights = np.where(peaks, inner, np.float32(-1))
    best = np.argmax(heights, axis=-1)
    height = np.take_along_axis(heights, best[..., None], -1)[..., 0]
    any_peak = height > -1
    seconds = (np.arange(peaks.shape[-1]) + lags.first + 1).astype(np.float32) / np.float32(grid.rate)
    first = np.argmax(peaks, axis=-1)
    at_lags = r[3:][..., lags.single].transpose(0, 2, 1).reshape(-1, windows)
    return [
        height,
        np.where(any_peak, seconds[best], 0),
        np.where(any_peak, seconds[first], 0),
        np.min(span, axis=-1),
        at_lags,
    ]
