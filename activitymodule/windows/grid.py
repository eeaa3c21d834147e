"""The grid of a window: how many slots it has, at what rate, and how many windows are computed at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

CHUNK_READINGS = 12_800
"""Readings of a chunk: one channel takes 50 KiB, so that all of a chunk stays in the second-level cache."""
_VECTOR = 16


@dataclass(frozen=True)
class Grid:
    """Slots of 1/rate seconds.

    rate : slots a second (Hz); slots : slots of a window; chunk : windows computed at once, a multiple of 16, so
    that none meets the remainder code of a vector loop; most : windows of the largest chunk.
    """

    rate: int
    slots: int
    chunk: int
    most: int


@lru_cache(maxsize=8)
def grid_of(length_seconds: int, rate_hz: int) -> Grid:
    """The grid of windows of this length and rate."""
    slots = length_seconds * rate_hz
    chunk = min(128, max(_VECTOR, CHUNK_READINGS // slots // _VECTOR * _VECTOR))
    return Grid(rate_hz, slots, chunk, chunk)


@lru_cache(maxsize=32)
def grid_for(windows: int, grid: Grid) -> Grid:
    """The grid with the smallest chunk that holds so many windows: few windows do not pay for many."""
    chunk = _VECTOR
    while chunk < min(windows, grid.most):
        chunk *= 2
    return replace(grid, chunk=min(chunk, grid.most))
