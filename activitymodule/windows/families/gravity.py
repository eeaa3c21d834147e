"""How the watch turns."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.arithmetic import mean
from activitymodule.windows.families.base import ACCELERATION, AXES, Described, each, family
from activitymodule.windows.motion import Motion

_ANGLE = "logarithm of .01 + angle between the 1 s mean acceleration and gravity: "

FEATURES = [
    *(
        Described(f"angle_log_{name}", "ln degrees", _ANGLE + text)
        for name, text in {"mean": "mean", "median": "median", "q90": "90 %", "max": "greatest"}.items()
    ),
    Described("log_path", "ln m/s2", "logarithm of the path length of the 1 s mean acceleration"),
    *each(AXES, "log_sd", "ln m/s2", "logarithm of the standard deviation of the 1 s mean of {}"),
    Described("log_drift", "ln m/s2", "logarithm of how far the last 1 s mean lies from the first"),
]


@family(sensor=ACCELERATION, features=FEATURES, order=4)
def gravity(m: Motion) -> list[np.ndarray]:
    """How the watch turns: the acceleration averaged over 1 s, and its angle to the window's mean."""
    smooth, vertical = m.smooth[:3], m.smooth[4]
    across = np.zeros_like(vertical)
    for axis in range(3):
        part = smooth[axis] - vertical * m.gravity[axis][:, None]
        part *= part
        across += part
    # the arc tangent keeps small angles precise, where an arc cosine in float32 has none
    angle = np.arctan2(np.sqrt(across, out=across), m.gravity_size[:, None] + vertical)
    angle = np.sort(angle, axis=-1) * np.float32(180 / np.pi)
    count = angle.shape[-1]
    angles = np.stack([mean(angle), angle[:, count // 2], angle[:, int(0.9 * (count - 1))], angle[:, -1]])
    moves = smooth[..., 1:] - smooth[..., :-1]
    moves *= moves
    path = np.add.reduce(np.sqrt(moves[0] + moves[1] + moves[2]), axis=-1)
    sd = np.sqrt(np.maximum(mean(smooth * smooth) - mean(smooth) ** 2, 0))
    drift = smooth[..., -1] - smooth[..., 0]
    return [
        np.log(angles + np.float32(0.01)),
        np.log(path + np.float32(1e-4))[None],
        np.log(sd + np.float32(1e-5)),
        np.log(np.sqrt(drift[0] ** 2 + drift[1] ** 2 + drift[2] ** 2) + np.float32(1e-4))[None],
    ]
