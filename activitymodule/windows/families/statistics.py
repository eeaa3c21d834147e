"""Spread and shape of the acceleration."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.arithmetic import TINY, mean
from activitymodule.windows.families.base import ACCELERATION, MOTION_CHANNELS, Described, each, family
from activitymodule.windows.motion import Motion

FEATURES = [
    *each(MOTION_CHANNELS, "log_sd", "ln m/s2", "logarithm of the standard deviation of {}"),
    *each(MOTION_CHANNELS, "iqr", "m/s2", "interquartile range of {}"),
    *each(MOTION_CHANNELS, "mean_absolute_deviation", "m/s2", "mean distance of {} from its mean"),
    *each(MOTION_CHANNELS, "kurtosis", "", "fourth standardised moment of {}, at most 50"),
    *each(MOTION_CHANNELS, "crossing_rate", "", "share of slots at which {} crosses its mean"),
    Described("magnitude_mean", "m/s2", "mean of the magnitude"),
    *(
        Described(f"magnitude_q{q}", "m/s2", f"{int(q)} % quantile of the magnitude")
        for q in ("05", "25", "50", "75", "95")
    ),
    Described("magnitude_min", "m/s2", "least magnitude"),
    Described("magnitude_max", "m/s2", "greatest magnitude"),
    Described("magnitude_skewness", "", "third standardised moment of the magnitude"),
]


@family(sensor=ACCELERATION, features=FEATURES, order=1)
def statistics(m: Motion) -> list[np.ndarray]:
    """Spread and shape of each axis and of the magnitude. Moments are about the mean; of an axis only what has no
    sign is kept.

    L. Bao, S. S. Intille (2004), Activity recognition from user-annotated acceleration data, Pervasive 2004.
    """
    slots = m.grid.slots
    axes, sd = m.centred[:4], m.sd + TINY
    ordered = np.sort(axes, axis=-1)
    lower = round(0.25 * (slots - 1))
    signs = np.sign(axes)
    crossings = np.not_equal(signs[..., 1:], signs[..., :-1]).astype(np.float32)
    kurtosis = np.einsum("awt,awt->aw", m.squares, m.squares) / (slots * sd**4)
    positions = [round(q * (slots - 1)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)]
    magnitude = ordered[3][:, [*positions, 0, slots - 1]] + m.mean[3][:, None]
    skewness = np.einsum("wt,wt->w", m.squares[3], axes[3]) / (slots * sd[3] ** 3)
    return [
        np.log(sd),
        ordered[..., slots - 1 - lower] - ordered[..., lower],
        mean(np.abs(axes)),
        np.minimum(kurtosis, 50),
        mean(crossings),
        m.mean[3:],
        magnitude.T,
        skewness[None],
    ]
