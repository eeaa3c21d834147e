"""Rows of predictions to write into a store."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activitymodule.store.predictions import PredictionRows

# spelled so as to hurt: quotes, braces, backslashes, commas, tabs and NULL are text like any other
LABELS = ("walking", 'sit "down"', "st\\airs", "a,{b}", "NULL", "tab\there")
EPOCH_US = 1_790_000_000_000_000  # a window starts here


def make_prediction_rows(
    watches: int = 2,
    windows: int = 5,
    *,
    first: int = 0,
    seed: int = 0,
    readings: int = 100,
    duplicates: int = 0,
    batch_id: int = 1,
    unscored: float = 0.2,
    version: str = "1",
    labels: tuple[str, ...] = LABELS,
    device: str = "watch-",
    start_us: int = EPOCH_US,
) -> PredictionRows:
    """Rows of `watches` x `windows`, with some windows that were not scored."""
    rng = np.random.default_rng(seed)
    n = watches * windows
    probabilities = rng.dirichlet(np.full(len(labels), 0.5), n).astype(np.float32)
    empty = rng.random(n) < unscored
    probabilities[empty] = np.nan
    starts = np.tile(start_us + 10_000_000 * (first + np.arange(windows)), watches)
    kcal = rng.uniform(1, 9, n).astype(np.float32)
    kcal[empty] = np.nan
    return PredictionRows(
        device_id=pa.array([f"{device}{i}" for i in range(watches) for _ in range(windows)]),
        window_start_us=starts,
        window_seconds=10,
        labels=labels,
        probabilities=probabilities,
        in_set=probabilities > 0.15,
        kcal_per_min=kcal,
        coverage=np.where(empty, 0.2, 1).astype(np.float32),
        readings_used=np.full(n, readings, np.int32),
        duplicates=np.full(n, duplicates, np.int32),
        reason=["too few readings" if e else None for e in empty],
        model_version=version,
        energy_version=None,
        last_reading_us=starts + 9_900_000,
        received_us=starts + 10_000_000,
        batch_id=batch_id,
    )
