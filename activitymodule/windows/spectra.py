"""Power spectra of windows, and the frequencies and bands they are summed over."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from activitymodule.windows.grid import Grid

BAND_EDGES_HZ = (0.05, 0.35, 0.75, 1.25, 1.75, 2.25, 2.75, 3.5, 4.25, 5.01)
LEAST_DOMINANT_HZ = 0.3

BANDS = tuple((low, min(high, 5.0)) for low, high in itertools.pairwise(BAND_EDGES_HZ))
"""The bands as documents name them, Hz."""


@dataclass(frozen=True)
class Spectra:
    """What a grid's spectra are made with.

    hann : (slots,), the Hann window; frequencies : (frequencies,), Hz; band_weights : (frequencies, bands + 2),
    which sums the power by band, over all, and by frequency; first_dominant : index of the first frequency that
    may be dominant; near_bins : bins within .1 Hz, at least one.
    """

    hann: np.ndarray
    frequencies: np.ndarray
    band_weights: np.ndarray
    first_dominant: int
    near_bins: int


@lru_cache(maxsize=8)
def spectra_of(grid: Grid) -> Spectra:
    """The frequencies and weights of a grid."""
    frequencies = fft.rfftfreq(grid.slots, 1 / grid.rate)
    # a hair below each edge: a frequency that lies on it belongs to the band above, whatever its rounding
    edges = np.array(BAND_EDGES_HZ) - 1e-9
    bands = np.searchsorted(edges, frequencies, side="right") - 1
    columns = [bands == band for band in range(len(edges) - 1)]
    return Spectra(
        hann=np.hanning(grid.slots).astype(np.float32),
        frequencies=frequencies.astype(np.float32),
        band_weights=np.stack([*columns, np.ones(len(frequencies)), frequencies], 1).astype(np.float32),
        first_dominant=int(np.searchsorted(frequencies, LEAST_DOMINANT_HZ - 1e-9)),
        near_bins=max(1, round(0.1 * (grid.slots // grid.rate))),
    )


def power(signals: np.ndarray, length: int) -> np.ndarray:
    """|rFFT|^2 along the last axis, zero-padded to `length`; (..., length // 2 + 1)."""
    parts = fft.rfft(signals, n=length, axis=-1).view(np.float32)
    parts *= parts
    return np.asarray(parts[..., 0::2] + parts[..., 1::2])


def with_sum_of_axes(power_of_channels: np.ndarray) -> np.ndarray:
    """(5, ...) powers of x, y, z, magnitude, vertical -> (6, ...) with the sum of x, y, z at the end."""
    total = power_of_channels[0] + power_of_channels[1] + power_of_channels[2]
    return np.concatenate([power_of_channels, total[None]])
