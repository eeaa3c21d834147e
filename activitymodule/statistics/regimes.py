"""Regimes of a recording: its frames clustered, how the clusters follow one another, the posture of each visit."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from activitymodule.statistics.profile import LEAST_FRAMES, RATE_HZ
from activitymodule.statistics.recipes import Recipe
from activitymodule.telemetry.gravity import STANDARD_GRAVITY


def cluster(x: np.ndarray, recipe: Recipe) -> np.ndarray:
    """(n_frames,) regime of each frame of x (n_frames * frame, 3): k-means, then small ones merged."""
    frame = recipe.frame_seconds * RATE_HZ
    frames = x.reshape(-1, frame, 3)
    log_sd = np.log(frames.std(axis=1) + 0.02 / STANDARD_GRAVITY)
    seen = np.concatenate(
        [
            frames.mean(axis=1) * (STANDARD_GRAVITY / 1.5),
            log_sd.mean(axis=1, keepdims=True) * recipe.energy_weight,
            log_sd * (recipe.energy_weight / 3),
        ],
        axis=1,
    )
    distinct = len(np.unique(seen.round(9), axis=0))
    count = max(1, min(recipe.regimes, len(seen) // LEAST_FRAMES, distinct))
    label = KMeans(count, n_init=4, random_state=0).fit_predict(seen)
    while True:
        names, sizes = np.unique(label, return_counts=True)
        if sizes.min() >= LEAST_FRAMES or len(names) == 1:
            return np.unique(label, return_inverse=True)[1]
        smallest = names[sizes.argmin()]
        others = [name for name in names if name != smallest]
        centres = np.stack([seen[label == name].mean(axis=0) for name in others])
        for i in np.flatnonzero(label == smallest):
            label[i] = others[((seen[i] - centres) ** 2).sum(axis=1).argmin()]


def transitions(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Occupancy (k,) and transition matrix (k, k), a little drawn to the occupancy."""
    count = label.max() + 1
    occupancy = np.bincount(label, minlength=count) / len(label)
    matrix = np.zeros((count, count))
    np.add.at(matrix, (label[:-1], label[1:]), 1)
    matrix += 0.3 * occupancy
    return occupancy, matrix / matrix.sum(axis=1, keepdims=True)


def without_holds(value: np.ndarray, visit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates less each visit's own mean offset, and the root (3, 3) of those offsets' covariance."""
    _, index, size = np.unique(visit, return_inverse=True, return_counts=True)
    if len(size) < 2:
        return value, np.zeros((3, 3))
    mean = np.stack([np.bincount(index, value[:, c]) / size for c in range(3)], axis=1)
    offset = mean - value.mean(axis=0)
    w, v = np.linalg.eigh((offset * size[:, None]).T @ offset / size.sum())
    return value - offset[index], v * np.sqrt(np.maximum(w, 0))
