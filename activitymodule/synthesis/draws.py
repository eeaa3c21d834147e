"""Draws from a hash: the same numbers in any process, at any time and in any order.

A generator of random numbers has a state, and so an order; a fleet spread over tasks has none. Every draw
here is a pure function of integers: the seed, the device, a time and the name of the draw.
"""

from __future__ import annotations

import zlib

import numpy as np
from scipy.special import ndtri

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _scramble(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def hashed(name: str, *parts: int | np.ndarray) -> np.ndarray:
    """uint64 of the name and the integers (scalars or arrays, broadcast)."""
    with np.errstate(over="ignore"):
        h = np.asarray(np.uint64(zlib.crc32(name.encode())))
        for part in parts:
            h = _scramble((h + _GOLDEN) ^ np.asarray(part).astype(np.int64).view(np.uint64) * _GOLDEN)
    return h


def uniform(name: str, *parts: int | np.ndarray) -> np.ndarray:
    """float64 in (0, 1), never 0 nor 1."""
    return ((hashed(name, *parts) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def normal(name: str, *parts: int | np.ndarray) -> np.ndarray:
    """Standard normal, cut at 3 standard deviations."""
    return np.clip(ndtri(uniform(name, *parts)), -3.0, 3.0)


def integer(name: str, low: int, high: int, *parts: int | np.ndarray) -> np.ndarray:
    """int64 in low..high, both included."""
    return low + np.floor(uniform(name, *parts) * (high - low + 1)).astype(np.int64)
