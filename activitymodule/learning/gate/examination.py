"""A model loaded as the scorer loads it, its answers and its speed."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from activitymodule.errors import ModelError
from activitymodule.learning.gate.subjects import Candidate
from activitymodule.models.bundle import ModelBytes, ScoringModel, load_model
from activitymodule.models.export import check_size
from activitymodule.settings import Windows

_SPEED_WINDOWS = 1024
_SPEED_TRIES = 3


def examine(
    stored: ModelBytes,
    features: np.ndarray,
    windows: Windows,
    *,
    max_megabytes: float,
    device_models: Sequence[str | None] | None = None,
) -> Candidate:
    """Load a model as the scorer does, score `features` (n, len(FEATURE_NAMES)) with it, and measure its speed.

    device_models : of the watches (n,). Both sides answer without calibration on device models.

    For a model that does not load, does not fit the features or does not answer, the result has the refusal.
    """
    size = len(stored.content) / 1e6
    too_large = None
    try:
        check_size(len(stored.content), f"version {stored.version}", max_megabytes)
    except ModelError as error:
        too_large = str(error)
    try:
        pipeline, card = load_model(stored, "activity", windows)
        model = ScoringModel(pipeline, card, stored.version)
        scores = model.score(features, device_models=device_models, calibrations=None)
        probabilities = scores.probabilities.astype(np.float64)
        if np.isnan(probabilities).any() and not np.isnan(features).all(1).any():
            raise ModelError(f"version {stored.version} gives no number for some windows; train it again")
    except ModelError as error:
        return Candidate(stored.version, megabytes=size, refusal=str(error), too_large=too_large)
    return Candidate(
        stored.version,
        card.labels,
        probabilities,
        size,
        _windows_per_second(model, features),
        too_large=too_large,
    )


def _windows_per_second(model: ScoringModel, features: np.ndarray) -> float:
    """Windows a second of one core, in processor time, so that a busy machine makes no difference."""
    if not len(features):
        return 0.0
    probe = np.resize(features, (_SPEED_WINDOWS, features.shape[1]))
    spent = []
    for _ in range(_SPEED_TRIES):
        begin = time.process_time()
        model.score(probe)
        spent.append(time.process_time() - begin)
    return _SPEED_WINDOWS / max(min(spent), 1e-6)
