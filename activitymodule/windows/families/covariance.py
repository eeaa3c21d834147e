"""How the axes move together."""

from __future__ import annotations

import numpy as np

from activitymodule.windows.families.base import ACCELERATION, AXES, Described, each, family
from activitymodule.windows.motion import Motion

_EIGENVALUES = ("least", "middle", "largest")

FEATURES = [
    *(
        Described(f"{a}{b}_absolute_correlation", "", f"size of the correlation of {a} and {b}")
        for a, b in ("xy", "xz", "yz")
    ),
    *(
        Described(f"log_{name}", "ln m2/s4", f"logarithm of the {name} eigenvalue of the covariance matrix")
        for name in _EIGENVALUES
    ),
    *(
        Described(f"share_{name}", "", f"share of the {name} eigenvalue in their sum")
        for name in _EIGENVALUES
    ),
    *each(AXES, "log_share", "", "logarithm of the share of {} in the sum of the standard deviations"),
]


@family(sensor=ACCELERATION, features=FEATURES, order=7)
def covariance(m: Motion) -> list[np.ndarray]:
    """How the axes move together: the 3 x 3 covariance matrix of the acceleration, its eigenvalues in closed form.

    O. K. Smith (1961), Eigenvalues of a symmetric 3 x 3 matrix, Communications of the ACM 4(4).
    """
    # in double precision: where nearly all movement is along one line, float32 would round the rest away
    axes = m.centred[:3].astype(np.float64)
    variances, pairs = (
        np.stack([np.einsum("wt,wt->w", axes[j], axes[k]) for j, k in which]) / m.grid.slots
        for which in (((0, 0), (1, 1), (2, 2)), ((0, 1), (0, 2), (1, 2)))
    )
    sd = np.sqrt(np.maximum(variances, 1e-12))
    correlations = np.abs(pairs) / np.stack([sd[0] * sd[1], sd[0] * sd[2], sd[1] * sd[2]])
    values = np.maximum(eigenvalues(variances, pairs), 1e-8)
    return [
        correlations,
        np.log(values),
        values / np.add.reduce(values, axis=0),
        np.log(sd) - np.log(sd[0] + sd[1] + sd[2]),
    ]


def eigenvalues(diagonal: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Eigenvalues of symmetric 3 x 3 matrices, rising, in closed form (Smith, 1961).

    diagonal : (3, n) of xx, yy, zz; pairs : (3, n) of xy, xz, yz; float64. Returns (3, n).
    """
    third = (diagonal[0] + diagonal[1] + diagonal[2]) / 3
    a, b, c = diagonal - third
    xy, xz, yz = pairs
    off = xy * xy + xz * xz + yz * yz
    scale = np.sqrt((a * a + b * b + c * c + 2 * off) / 6)
    determinant = a * (b * c - yz * yz) - b * xz * xz - c * xy * xy + 2 * (xy * xz * yz)
    cube = scale * scale * scale
    cosine = np.divide(determinant / 2, cube, out=np.zeros_like(cube), where=cube > 0)
    angle = np.arccos(np.clip(cosine, -1, 1)) / 3
    largest = third + 2 * scale * np.cos(angle)
    least = third + 2 * scale * np.cos(angle + 2 * np.pi / 3)
    return np.stack([least, 3 * third - largest - least, largest])
