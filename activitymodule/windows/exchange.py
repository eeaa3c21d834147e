"""Features of a window as they would be with the axes x and y exchanged, from its features alone.

Makers differ in which axis lies along the forearm. A feature has no sign of an axis, so an exchange of x and y makes
features of x those of y and leaves the rest: a classifier can be asked about a window in both frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_PARTNER = {"x": "y", "y": "x", "xz": "yz", "yz": "xz"}
_ACROSS = "direction_yz_size"  # has no partner among the features: it becomes the hypot of the next two
_OF_ACROSS = ("direction_x_absolute_mean", "direction_z_absolute_mean")


def exchange_of(names: Sequence[str]) -> list[int] | None:
    """Where `exchanged` finds each feature, (n_features + 2) places; None where a partner is not among the names.

    names : of features, as windows.catalogue has them
    """
    place = {name: k for k, name in enumerate(names)} | {_ACROSS: len(names)}
    partners = ["_".join(_PARTNER.get(part, part) for part in name.split("_")) for name in names]
    wanted = [_ACROSS if name == _ACROSS else partner for name, partner in zip(names, partners, strict=True)]
    wanted += _OF_ACROSS
    return [place[name] for name in wanted] if all(name in place for name in wanted) else None


def exchanged(X: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """Features of the windows with x and y exchanged, (n_windows, n_features), of X of that shape."""
    x, z = X[:, places[-2]], X[:, places[-1]]
    return np.column_stack([X, np.sqrt(x * x + z * z)])[:, places[:-2]]
