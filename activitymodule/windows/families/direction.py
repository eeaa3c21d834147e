"""How the watch lies."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.families.base import ACCELERATION, AXES, Described, each, family
from activitymodule.windows.motion import Motion

FEATURES = [
    *each(AXES, "absolute_mean", "m/s2", "size of the mean of {}"),
    *each(AXES, "absolute_cosine", "", "size of the cosine between gravity and {}"),
    Described("yz_size", "m/s2", "mean acceleration across the forearm: hypot of the means of y and z"),
    Described("size", "m/s2", "size of the mean acceleration; near 9.8 where the watch does not turn"),
]


@family(sensor=ACCELERATION, features=FEATURES, order=2)
def direction(m: Motion) -> list[np.ndarray]:
    """How the watch lies, without signs. The mean acceleration of a window is mostly gravity; its sizes separate
    sitting from standing, which hardly differ in anything else.

    D. Mizell (2003), Using gravity to estimate accelerometer orientation, ISWC 2003.
    """
    across = np.sqrt(m.mean[1] ** 2 + m.mean[2] ** 2)
    return [np.abs(m.mean[:3]), np.abs(m.gravity), across[None], m.gravity_size[None]]
