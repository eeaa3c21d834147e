"""Movement along gravity and across it."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.arithmetic import TINY, mean
from activitymodule.windows.families.base import ACCELERATION, QUANTILE_TEXT, Described, family
from activitymodule.windows.motion import Motion

FEATURES = [
    Described("log_sd", "ln m/s2", "logarithm of the standard deviation of the movement along gravity"),
    Described("horizontal_log_sd", "ln m/s2", "the same, of the size of the movement across gravity"),
    Described("to_horizontal", "", "logarithm of: sd along gravity by root mean square across it"),
    *(Described(name, "m/s2", f"movement along gravity: {text}") for name, text in QUANTILE_TEXT.items()),
    *(
        Described(f"horizontal_{name}", "m/s2", f"size of the movement across gravity: {text}")
        for name, text in QUANTILE_TEXT.items()
        if name != "min"
    ),
    Described("skewness", "", "third standardised moment of the movement along gravity"),
]


@family(sensor=ACCELERATION, features=FEATURES, order=6)
def vertical(m: Motion) -> list[np.ndarray]:
    """The movement (acceleration less its mean) along gravity, and the size of what is across it: the same however
    the watch is turned.

    D. Mizell (2003), Using gravity to estimate accelerometer orientation, ISWC 2003.
    """
    slots = m.grid.slots
    up, across = m.centred[4], m.horizontal
    away = across - mean(across)[:, None]
    mean_square = mean(across * across)
    sd_up = np.sqrt(mean(up * up))
    sd = np.stack([sd_up, np.sqrt(mean(away * away))]) + TINY
    tenth, quarter, half = slots // 10, slots // 4, slots // 2
    inner = [tenth, quarter, half, slots * 3 // 4, slots * 9 // 10, slots - 1]
    skewness = np.einsum("wt,wt,wt->w", up, up, up) / (slots * sd[0] ** 3)
    return [
        np.log(sd),
        (np.log(sd[0]) - np.log(np.sqrt(mean_square) + TINY))[None],
        np.sort(up, axis=-1)[:, [0, *inner]].T,
        np.sort(across, axis=-1)[:, inner].T,
        skewness[None],
    ]
