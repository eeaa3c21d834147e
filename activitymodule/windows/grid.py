"""The grid of a window: how many slots it has, at what rate, and how many windows are computed at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

CHUNK_READINGS = 12_800
"""Readings of a chunk: one channel takes 50 KiB, so that all of a chunk stays in the second-level cache."""


@dataclass(frozen=True)
class Grid:
    """Slots of 1/rate seconds.

    rate : slots a second (Hz); slots : slots of a window; chunk : windows computed at once, a multiple of 16, so
    that none meets the remainder code of a vector loop.
    """

    rate: int
    slots: int
    chunk: int


@lru_cache(maxsize=8)
def grid_of(length_seconds: int, rate_hz: int) -> Grid:
    """The grid of windows of this length and rate."""
    slots = length_seconds * rate_hz
    return Grid(rate_hz, slots, min(128, max(16, CHUNK_READINGS // slots // 16 * 16)))
