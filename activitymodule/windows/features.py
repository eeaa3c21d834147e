"""Features of windows: named numbers, the same code for training sets and for the stream.

A family (windows.families) is computed from a whole chunk of windows at once. No feature changes when an axis of
the watch is mirrored (worn on the other wrist, or the other way round). What was not measured is NaN, and never
spoils the features of another sensor. docs/features.md, made by `activity features --markdown`, lists every name.

A window's features are the same to the last bit whatever other windows are in its batch: chunks are padded with zeros
to a multiple of 16 windows, so that the Fourier transform and the vector code always run the same instructions over a
row, and matrices are not multiplied by BLAS (arithmetic.product).
"""

from __future__ import annotations

import numpy as np

from activitymodule.settings import Windows
from activitymodule.telemetry.gravity import STANDARD_GRAVITY
from activitymodule.windows.assembling import WindowBatch
from activitymodule.windows.catalogue import COLUMNS, FAMILIES, FEATURE_NAMES, FEATURES_VERSION
from activitymodule.windows.families.base import ACCELERATION, ROTATION
from activitymodule.windows.grid import Grid, grid_for, grid_of
from activitymodule.windows.motion import motion
from activitymodule.windows.packing import CHANNELS

__all__ = ["FEATURES_VERSION", "FEATURE_NAMES", "features"]

LEAST_SECONDS = 2
"""Seconds of acceleration (or rotation) a window must hold for features of it."""

_OF_ACCELERATION = [f for f in FAMILIES.values() if f.sensor == ACCELERATION]
_OF_ROTATION = [f for f in FAMILIES.values() if f.sensor == ROTATION]
_OF_CHANNELS = [f for f in FAMILIES.values() if f.sensor in CHANNELS]


def features(batch: WindowBatch, windows: Windows) -> np.ndarray:
    """Features of every window: float32 ndarray of shape (n_windows, len(FEATURE_NAMES)), NaN where missing.

    A gap in the acceleration (or rotation) is bridged by a straight line, its ends held; with less than
    LEAST_SECONDS of it, all features of that sensor are NaN.
    """
    grid = grid_of(windows.length_seconds, windows.rate_hz)
    out = np.empty((len(batch), len(FEATURE_NAMES)), np.float32)
    for start in range(0, len(batch), grid.most):
        part = batch.grid[start : start + grid.most]
        fitting = grid_for(len(part), grid)
        block = np.empty((len(FEATURE_NAMES), fitting.chunk), np.float32)
        _chunk(part, fitting, block)
        out[start : start + grid.most] = block.T[: len(part)]
    return out


def _chunk(part: np.ndarray, grid: Grid, block: np.ndarray) -> None:
    """Features of at most a chunk of windows, (n, slots, channels), into `block`, (features, chunk)."""
    acceleration, enough = _sensor(part, slice(0, 3), grid)
    if enough.any():
        acceleration *= np.float32(STANDARD_GRAVITY)
        moved = motion(acceleration, grid)
        for family in _OF_ACCELERATION:
            _put(block, family.name, family.compute(moved))
    for family in _OF_ACCELERATION:
        block[COLUMNS[family.name], ~enough] = np.nan

    rates, enough = _sensor(part, slice(3, 6), grid)
    for family in _OF_ROTATION:
        if enough.any():
            _put(block, family.name, family.compute(rates, grid))
        block[COLUMNS[family.name], ~enough] = np.nan

    for family in _OF_CHANNELS:
        values = np.full((grid.chunk, grid.slots), np.nan, np.float32)
        values[: len(part)] = part[:, :, CHANNELS.index(family.sensor)]
        if np.isnan(values).all():
            block[COLUMNS[family.name]] = np.nan
        else:
            _put(block, family.name, family.compute(values, grid))
    for family in (*_OF_ROTATION, *_OF_CHANNELS):
        computed = block[COLUMNS[family.name]]
        # one NaN for all: 0/0 makes one of another sign
        computed[np.isnan(computed)] = np.nan


def _put(block: np.ndarray, family: str, rows: list[np.ndarray]) -> None:
    np.concatenate(rows, out=block[COLUMNS[family]], casting="same_kind")


def _sensor(part: np.ndarray, channels: slice, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Three axes without gaps, (3, chunk, slots), and which windows have enough of them, (chunk,).

    The others, and the padding of the chunk, are zero.
    """
    values = np.zeros((3, grid.chunk, grid.slots), np.float32)
    values[:, : len(part)] = part[:, :, channels].transpose(2, 0, 1)
    there = np.zeros((grid.chunk, grid.slots), bool)
    # one sum is NaN where any axis is
    there[: len(part)] = np.isfinite(values[0] + values[1] + values[2])[: len(part)]
    count = np.count_nonzero(there, axis=1)
    enough = count >= LEAST_SECONDS * grid.rate
    values[:, ~enough] = 0
    gaps = np.flatnonzero(enough & (count < grid.slots))
    if len(gaps):
        values[:, gaps] = _bridged(values[:, gaps], there[gaps])
    return values, enough


def _bridged(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Straight lines over gaps along the last axis, ends held: values (3, n, slots), there (n, slots)."""
    slots = there.shape[1]
    now = np.arange(slots)
    before = np.maximum.accumulate(np.where(there, now, -1), axis=1)
    after = np.minimum.accumulate(np.where(there, now, slots)[:, ::-1], axis=1)[:, ::-1]
    before, after = np.where(before < 0, after, before), np.where(after == slots, before, after)
    weight = ((now - before) / np.maximum(after - before, 1)).astype(np.float32)
    left = np.take_along_axis(values, before[None], axis=2)
    right = np.take_along_axis(values, after[None], axis=2)
    return np.asarray(left + (right - left) * weight)
