"""How still the parts of a window are."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.arithmetic import mean
from activitymodule.windows.families.base import ACCELERATION, QUANTILE_TEXT, Described, family
from activitymodule.windows.motion import Motion

STILL_M_S2 = (0.05, 0.1, 0.2, 0.5)

FEATURES = [
    *(
        Described(
            f"log_sd_{name}",
            "ln m/s2",
            f"logarithm of the spread within blocks of 1 s: {QUANTILE_TEXT[name]}",
        )
        for name in ("min", "q25", "q50", "q75", "max")
    ),
    Described("log_sd_sd", "ln m/s2", "standard deviation of that logarithm over the blocks"),
    *(
        Described(
            f"share_below_{round(limit * 100):03d}", "", f"share of blocks with a spread under {limit} m/s2"
        )
        for limit in STILL_M_S2
    ),
]


@family(sensor=ACCELERATION, features=FEATURES, order=5)
def stillness(m: Motion) -> list[np.ndarray]:
    """The spread (root of the summed variances of the axes) within blocks of 1 s: a window may be still in parts."""
    _, windows, slots = m.centred.shape
    blocks = slots // m.grid.rate
    shape = (windows, blocks, m.grid.rate)
    total = np.zeros(shape, np.float32)
    for axis in range(3):
        part = m.centred[axis].reshape(shape) - m.smooth[axis][:, :: m.grid.rate, None]
        part *= part
        total += part
    spread = np.log(np.sqrt(mean(total)) + np.float32(1e-4))
    ordered = np.sort(spread, axis=-1)
    last = blocks - 1
    away = spread - mean(spread)[:, None]
    thresholds = np.log(np.array(STILL_M_S2, np.float32))
    below = (spread[None] < thresholds[:, None, None]).astype(np.float32)
    return [
        ordered[:, [0, last // 4, last // 2, 3 * last // 4, last]].T,
        np.sqrt(mean(away * away))[None],
        mean(below),
    ]
