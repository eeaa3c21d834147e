"""Where in frequency the movement is."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.arithmetic import TINY, product, sums_of_neighbours
from activitymodule.windows.families.base import (
    ACCELERATION,
    CHANNEL_TEXT,
    SPECTRUM_CHANNELS,
    Described,
    each,
    family,
)
from activitymodule.windows.motion import Motion
from activitymodule.windows.spectra import BANDS, power, spectra_of, with_sum_of_axes

_NEAR = "share of the power of {} within .1 Hz (at least one bin) of "

FEATURES = [
    *(
        Described(
            f"{channel}_log_power_band{number}",
            "ln m2/s4",
            f"logarithm of the power of {CHANNEL_TEXT[channel]} from {low} to {high} Hz",
        )
        for channel in SPECTRUM_CHANNELS
        for number, (low, high) in enumerate(BANDS, 1)
    ),
    *(
        Described(
            f"{channel}_share_band{number}",
            "",
            f"share of the power of {CHANNEL_TEXT[channel]} that is from {low} to {high} Hz",
        )
        for channel in SPECTRUM_CHANNELS
        for number, (low, high) in enumerate(BANDS, 1)
    ),
    *each(SPECTRUM_CHANNELS, "entropy", "", "spectral entropy of {}: 0 one frequency, 1 all alike"),
    *each(SPECTRUM_CHANNELS, "centroid", "Hz", "mean frequency of {}, weighted by power"),
    *each(SPECTRUM_CHANNELS, "dominant", "Hz", "frequency of {} with the most power, from .3 Hz on"),
    *each(SPECTRUM_CHANNELS, "dominant_share", "", "share of the power of {} at its dominant frequency"),
    *each(SPECTRUM_CHANNELS, "harmonic1", "", _NEAR + "its dominant frequency"),
    *each(SPECTRUM_CHANNELS, "harmonic2", "", _NEAR + "twice that"),
    *each(SPECTRUM_CHANNELS, "harmonic3", "", _NEAR + "three times that"),
    *each(SPECTRUM_CHANNELS, "half", "", _NEAR + "half its dominant frequency"),
]


@family(sensor=ACCELERATION, features=FEATURES, order=8)
def spectrum(m: Motion) -> list[np.ndarray]:
    """Where in frequency the movement is: Hann window (Harris, 1978), real Fourier transform, constant part removed;
    six channels: x, y, z, the magnitude, the vertical part, and the powers of x, y and z added up, which do not
    depend on how the watch is turned. Bands are in Hz, so that other rates and lengths mean the same. Spectral
    entropy as in Bao and Intille (2004). Harmonics separate steps from strides.

    F. J. Harris (1978), On the use of windows for harmonic analysis with the discrete Fourier transform,
    Proceedings of the IEEE 66(1).
    """
    grid, made = m.grid, spectra_of(m.grid)
    densities = power(m.centred * made.hann, grid.slots) * np.float32(1 / (grid.slots * grid.rate))
    densities[..., 0] = 0
    densities = with_sum_of_axes(densities)
    channels, windows, count = densities.shape
    densities = densities.reshape(channels * windows, count)
    sums = product(densities, made.band_weights)
    bands, total = sums[:, :-2], sums[:, -2] + np.float32(1e-9)
    share = densities * (1 / total)[:, None]
    entropy = np.einsum("rf,rf->r", share, np.log(share + np.float32(1e-12))) / -np.log(count)
    peak = np.argmax(densities[:, made.first_dominant :], axis=1) + made.first_dominant
    rows = np.arange(len(densities))
    near = sums_of_neighbours(share, 2 * made.near_bins + 1)

    def around(bins: np.ndarray) -> np.ndarray:
        return np.asarray(near[rows, np.clip(bins - made.near_bins, 0, near.shape[1] - 1)])

    def by_channel(values: np.ndarray) -> np.ndarray:
        """(channels * windows, k) -> (channels * k, windows)."""
        return values.reshape(channels, windows, -1).transpose(0, 2, 1).reshape(-1, windows)

    harmonics = [np.where(peak * k < count - 1, around(peak * k), 0) for k in (1, 2, 3)]
    return [
        by_channel(np.log(bands + TINY)),
        by_channel(bands / total[:, None]),
        by_channel(entropy),
        by_channel(sums[:, -1] / total),
        by_channel(made.frequencies[peak]),
        by_channel(share[rows, peak]),
        *(by_channel(h) for h in harmonics),
        by_channel(around(np.round(peak / 2).astype(np.int64))),
    ]
