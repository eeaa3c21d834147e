"""Recordings whose statistics are known."""

from __future__ import annotations

import numpy as np

from activitymodule.statistics.recordings import Recording


def walker(person: str, stride_hz: float, seconds: int = 120, seed: int = 1) -> Recording:
    """An arm that swings at `stride_hz`, steps at twice that, a watch that hangs along y; noise .05 g."""
    random = np.random.default_rng(seed)
    t = np.arange(seconds * 10) / 10
    phase = 2 * np.pi * stride_hz * t + random.uniform(0, 6)
    x = np.stack(
        [
            0.15 + 0.25 * np.sin(phase),
            -0.9 + 0.3 * np.sin(2 * phase + 0.4),
            0.2 + 0.15 * np.cos(phase) + 0.05 * np.sin(2 * phase),
        ],
        axis=1,
    )
    return Recording(person, "walking", (x + 0.05 * random.normal(size=x.shape)).astype(np.float32))


def sitter(person: str, seconds: int = 120, seed: int = 2) -> Recording:
    """A hand that lies in one of two postures for 20 s at a time, with coloured noise of .01 g."""
    random = np.random.default_rng(seed)
    n = seconds * 10
    postures = np.array([[0.1, -0.3, -0.95], [-0.6, -0.7, -0.35]])
    noise = random.normal(size=(n + 5, 3))
    coloured = np.stack([np.convolve(noise[:, c], np.ones(6) / 6, "valid") for c in range(3)], axis=1)
    held = postures[(np.arange(n) // 200) % 2]
    return Recording(person, "sitting", (held + 0.02 * coloured).astype(np.float32))
