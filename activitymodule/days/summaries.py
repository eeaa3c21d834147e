"""What daily records need of a window's readings and its prediction does not say: stillness, movement, steps, heart.

The movement is the mean absolute deviation of the size of the acceleration (Vähä-Ypyä et al. 2015, Clin Physiol Funct
Imaging 35(1):64-70), which needs no calibration of the sensor.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activitymodule.days.records import WINDOWS
from activitymodule.settings import Windows
from activitymodule.windows.assembling import WindowBatch
from activitymodule.windows.packing import CHANNELS

_HEART, _STEPS = CHANNELS.index("heart_rate"), CHANNELS.index("steps")
_LEAST_SLOTS = 10  # with an acceleration: of fewer no spread can be told


def summaries(
    device_id: pa.Array, start_us: np.ndarray, batch: WindowBatch, windows: Windows
) -> pa.RecordBatch:
    """Rows of records.WINDOWS for n windows of an archive: device_id string (n,), start_us int64 (n,)."""
    acceleration = batch.grid[:, :, :3].astype(np.float64)
    whole = np.isfinite(acceleration).all(2)
    enough = np.count_nonzero(whole, axis=1) >= _LEAST_SLOTS
    acceleration[~whole] = np.nan
    spread = np.full(len(batch), np.nan)
    movement = np.full(len(batch), np.nan)
    spread[enough] = np.nanstd(acceleration[enough], axis=1).max(axis=1)
    size = np.sqrt((acceleration[enough] ** 2).sum(2))
    movement[enough] = np.nanmean(np.abs(size - np.nanmean(size, axis=1, keepdims=True)), axis=1)
    steps, heart = batch.grid[:, :, _STEPS], batch.grid[:, :, _HEART]
    beats = np.count_nonzero(heart > 0, axis=1)
    with np.errstate(invalid="ignore"):
        mean_heart = np.where(heart > 0, heart, 0).sum(axis=1, dtype=np.float64) / beats
    columns = {
        "device_id": device_id,
        "start_us": pa.array(start_us),
        "end_us": pa.array(start_us + windows.length_seconds * 1_000_000),
        "coverage": pa.array(batch.coverage),
        "spread": _known(spread),
        "movement": _known(movement),
        "steps": _known(np.where(np.isfinite(steps).any(1), np.nansum(steps, axis=1), np.nan)),
        "heart": _known(mean_heart),
    }
    return pa.RecordBatch.from_arrays(
        [columns[f.name] if f.name in columns else pa.nulls(len(batch), f.type) for f in WINDOWS],
        schema=WINDOWS,
    )


def _known(values: np.ndarray) -> pa.Array:
    return pa.array(values.astype(np.float32), mask=~np.isfinite(values))
