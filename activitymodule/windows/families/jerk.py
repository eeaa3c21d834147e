"""How fast the acceleration changes."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.arithmetic import TINY, mean
from activitymodule.windows.families.base import ACCELERATION, AXES, Described, each, family
from activitymodule.windows.motion import Motion

FEATURES = [
    *each(AXES, "log_sd", "ln m/s3", "logarithm of the standard deviation of the jerk of {}"),
    Described("magnitude_log_sd", "ln m/s3", "logarithm of the standard deviation of the magnitude's jerk"),
    Described("size_log_mean", "ln m/s3", "logarithm of the mean size of the jerk"),
    *(
        Described(f"size_log_q{q}", "ln m/s3", f"logarithm of the {q} % quantile of the size of the jerk")
        for q in ("10", "25", "50", "75", "90")
    ),
    Described("size_log_max", "ln m/s3", "logarithm of the greatest size of the jerk"),
    *each(AXES, "log_sd_ratio", "ln 1/s", "logarithm of: sd of the jerk of {} by sd of its acceleration"),
]


@family(sensor=ACCELERATION, features=FEATURES, order=3)
def jerk(m: Motion) -> list[np.ndarray]:
    """How fast the acceleration changes: differences of neighbouring slots, times the rate."""
    steps = np.diff(m.centred[:4], axis=-1) * np.float32(m.grid.rate)
    squares = steps * steps
    size = np.sort(np.sqrt(squares[0] + squares[1] + squares[2]), axis=-1)
    last = m.grid.slots - 2
    positions = [int(q * last) for q in (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)]
    sizes = np.concatenate([mean(size)[None], size[:, positions].T])
    log_sd = np.log(np.sqrt(np.maximum(mean(squares) - mean(steps) ** 2, 0)) + TINY)
    return [log_sd, np.log(sizes + np.float32(1e-4)), log_sd[:3] - np.log(m.sd[:3] + TINY)]
