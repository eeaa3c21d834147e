"""Rates of the predicted activities against those of training: half the sum of the differences.

Other activities than in training are no reason to retrain: the model knows them.
"""

from __future__ import annotations

import math

import numpy as np

from activitymodule.monitoring.measures.registry import OverallMeasure, OverallValue, Thresholds, register
from activitymodule.monitoring.observation import CHANCE, Observation


def compute(seen: Observation, thresholds: Thresholds) -> OverallValue:
    """The threshold is at least what chance reaches: mean and tail of half the L1 distance of a multinomial of as many
    draws as there are watches."""
    now, then = seen.class_rates, seen.baseline.class_rates
    shift = float(np.abs(now - then).sum() / 2)
    labels = seen.baseline.labels
    chance = 0.5 * math.sqrt(len(labels) / seen.watches)
    chance += math.sqrt(math.log(1 / CHANCE) / (2 * seen.watches))
    threshold = max(thresholds["class_shift"], min(chance, 1.0))
    most = int(np.argmax(np.abs(now - then)))
    detail = f"{labels[most]}: {now[most]:.0%} of the windows, {then[most]:.0%} in training"
    return OverallValue(
        shift,
        threshold,
        shift > threshold,
        detail,
        f"people do other activities than in training ({detail}), which the model knows",
    )


CLASS_SHIFT = register(
    OverallMeasure(
        name="class_shift",
        title="Activity rates",
        unit="half the sum of the differences of rates",
        threshold=0.3,
        compute=compute,
        order=60,
    )
)
