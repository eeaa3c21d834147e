"""A sensor's samples at any times to values on the grid of 10 Hz, by a low-pass filter.

The filter is a sinc in a Hamming window, 1.5 s to either side (Oppenheim and Schafer 2010, 7.5), normalised; each
sample is weighted by the time it stands for.
"""

from __future__ import annotations

import numpy as np

SLOT_US = 100_000
"""Microseconds from one reading to the next."""
BRIDGE_US = 300_000
"""Samples of a sensor that are further apart have a gap between them, whose slots stay empty."""
_CUTOFF_HZ = 4.5
_HALF_WIDTH = 6.75  # of the filter, in periods of its cut-off: 1.5 s
_FAST_HZ = 10.5  # above it a recording holds what a grid of 10 Hz cannot
_MOST_WEIGHT_US = 100_000  # of a sample at the edge of a gap
_CELLS = 500_000  # slots x samples at once


def own_slot(time_us: np.ndarray) -> np.ndarray:
    """The slot that is nearest to each time, int64 (n,)."""
    return np.asarray((time_us + SLOT_US // 2) // SLOT_US)


def nearest_of(time_us: np.ndarray, at_us: np.ndarray) -> np.ndarray:
    """Index of the nearest of the times (rising) to each moment, the earlier of two."""
    right = np.searchsorted(time_us, at_us).clip(0, len(time_us) - 1)
    left = (right - 1).clip(0)
    return np.where(np.abs(at_us - time_us[left]) <= np.abs(time_us[right] - at_us), left, right)


def in_slots(time_us: np.ndarray, values: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """A sensor's samples in the slots: (len(slots), 3), NaN where there is none.

    time_us : (n,) rising; values : (n, 3) without NaN; slots : (m,) rising
    """
    found = np.full((len(slots), 3), np.nan)
    if not len(time_us):
        return found
    at_us = slots * SLOT_US
    nearest = nearest_of(time_us, at_us)
    right = np.searchsorted(time_us, at_us)
    stretch = np.cumsum(np.diff(time_us, prepend=time_us[0]) > BRIDGE_US)
    inside = (right > 0) & (right < len(time_us))
    left, right = (right - 1).clip(0), right.clip(0, len(time_us) - 1)
    inside &= stretch[left] == stretch[right]
    filled = inside | (own_slot(time_us[nearest]) == slots)
    starts = np.searchsorted(stretch, stretch[nearest])
    ends = np.searchsorted(stretch, stretch[nearest], side="right")

    def around(half_us: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        low = np.maximum(np.searchsorted(time_us, at_us - half_us), starts)
        return low, np.minimum(np.searchsorted(time_us, at_us + half_us, side="right"), ends)

    low, high = around(1_000_000)
    span_us = np.maximum(time_us[high - 1] - time_us[low.clip(0, len(time_us) - 1)], 1)
    rate = np.where(high - low > 1, (high - low - 1) * 1e6 / span_us, np.inf)  # around each slot, Hz
    cutoff = np.where(rate > _FAST_HZ, _CUTOFF_HZ, np.minimum(rate, 10.0) / 2)
    half_us = (np.minimum(_HALF_WIDTH / cutoff, 5.0) * 1e6).astype(np.int64)
    low, high = around(half_us)

    step = np.where(np.diff(stretch) == 0, np.minimum(np.diff(time_us), _MOST_WEIGHT_US), 0)
    weight = np.maximum(np.r_[0, step] + np.r_[step, 0], 1)
    chosen = np.flatnonzero(filled)
    width = int((high - low)[chosen].max(initial=1))
    for part in np.array_split(chosen, max(1, -(-len(chosen) * width // _CELLS))):
        at = low[part, None] + np.arange(width)
        there = at < high[part, None]
        at = np.minimum(at, len(time_us) - 1)
        away_us = time_us[at] - at_us[part, None]
        taps = np.sinc(2e-6 * cutoff[part, None] * away_us) * (
            0.54 + 0.46 * np.cos(np.pi * away_us / half_us[part, None])
        )
        taps = np.where(there, taps * weight[at], 0.0)
        whole = taps.sum(axis=1)
        # within a hole of a fast recording a sinc has nothing to stand on
        gap_us = (time_us[right[part]] - time_us[left[part]]).astype(float)
        hole = inside[part] & (gap_us > np.maximum(1.5e6 / rate[part], 1.1 * SLOT_US))
        hole |= whole < 0.2 * np.abs(taps).sum(axis=1)
        result = np.einsum("sw,swk->sk", taps, values[at]) / np.where(hole, 1.0, whole)[:, None]
        if hole.any():
            share = np.where(inside[part], (at_us[part] - time_us[left[part]]) / np.maximum(gap_us, 1.0), 0.0)
            line = values[left[part]] + share[:, None] * (values[right[part]] - values[left[part]])
            line = np.where(inside[part, None], line, values[nearest[part]])
            result[hole] = line[hole]
        found[part] = result
    return found
