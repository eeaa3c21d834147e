"""Uniform draws that belong to a window: pure functions of its watch and time, so that a replay draws the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from activitymodule.learning.strata import COLD


def draw(device_id: str, window_start_us: int, purpose: str, salt: str = "") -> float:
    """A number from [0, 1): the first 53 bits of a keyed BLAKE2b of window, purpose and salt.

    Draws of different purposes are independent of each other, and all of them of what the window holds.
    """
    digest = hashlib.blake2b(
        f"{window_start_us}/{device_id}".encode("utf-8", "surrogatepass"),
        digest_size=8,
        person=purpose.encode()[:16],
        key=salt.encode()[:64],
    ).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def draws(device_id: Sequence[str], window_start_us: Sequence[int], purpose: str = COLD) -> np.ndarray:
    """`draw` of each window, float64 (n,).

    >>> draws(["watch-1"], [0]).tolist() == draws(["watch-1"], [0]).tolist()
    True
    """
    return np.array(
        [draw(d, int(us), purpose) for d, us in zip(device_id, window_start_us, strict=True)], float
    )
