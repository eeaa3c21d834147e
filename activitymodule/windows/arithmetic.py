"""Arithmetic that families share. All of it is float32, and the same to the last bit in any batch."""

from __future__ import annotations

import numpy as np

TINY = np.float32(1e-6)
"""Added to spreads and band powers before a logarithm or a division."""


def mean(values: np.ndarray) -> np.ndarray:
    """Mean along the last axis."""
    return np.asarray(np.add.reduce(values, axis=-1) * np.float32(1 / values.shape[-1]))


def product(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`rows @ weights`, (n, k), each row summed in the same order wherever it stands.

    BLAS does not promise that: on processors without AVX-512 its order depends on the number of rows and on a row's
    place among them. Here one instruction works on many rows, so `n` has to be a multiple of a vector (grid.chunk is).

    rows : float32 (n, m); weights : float32 (m, k)
    """
    return np.einsum("mn,mk->kn", np.ascontiguousarray(rows.T), weights).T


def sums_of_neighbours(values: np.ndarray, width: int) -> np.ndarray:
    """Sums over `width` neighbours along the last axis, by doubling: few passes, and no running error."""
    size = values.shape[-1] - width + 1
    total = np.zeros((*values.shape[:-1], size), np.float32)
    done, doubled, span = 0, values, 1
    while done < width:
        if width & span:
            total += doubled[..., done : done + size]
            done += span
        if done < width:
            doubled = doubled[..., :-span] + doubled[..., span:]
            span *= 2
    return total
