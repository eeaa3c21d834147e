"""Packed readings: the few channels that windows need, as fixed-size binary records.

A pane is the readings of one device that one task saw for one slide of time, packed one record after
another. Spark's state holds these bytes, not structs, which is what makes the stream fast.
"""

from __future__ import annotations

import numpy as np

CHANNELS: tuple[str, ...] = (
    "acceleration_x",  # g, total: user acceleration plus gravity from pitch and roll
    "acceleration_y",
    "acceleration_z",
    "rotation_rate_x",  # rad/s
    "rotation_rate_y",
    "rotation_rate_z",
    "heart_rate",  # bpm
    "steps",  # since the last reading
    "speed",  # m/s
)

RECORD = np.dtype([("stamp_us", "<i8"), ("values", "<f4", (len(CHANNELS),))])
"""One packed reading: UTC microseconds, then CHANNELS as float32 with NaN for what is missing."""
