"""Probabilities of a window by the windows before it, from the store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from activitymodule.models.bundle import ScoringModel
from activitymodule.models.smoothing import forward_filter
from activitymodule.settings import Settings
from activitymodule.store import queue
from activitymodule.store.connection import Connection


def past_probabilities(
    connection: Connection,
    device: Sequence[str],
    start: Sequence[int],
    config: Settings,
    model: ScoringModel,
) -> np.ndarray:
    """Probabilities of n windows by the smoothed windows before each, predicted one window ahead: float64
    (n, n_labels), NaN where the store has none of them."""
    labels = len(model.labels)
    past = queue.past_probabilities(
        connection,
        device,
        start,
        windows=config.scoring.smoothing_windows,
        window_us=config.windows.length_seconds * 1_000_000,
        labels=labels,
        version=model.version,
    )
    none = np.isnan(past).all((1, 2))
    predicted = forward_filter(
        np.concatenate([past, np.full((len(past), 1, labels), np.nan)], 1), config.scoring.smoothing_stay
    )
    predicted[none] = np.nan
    return predicted
