"""Recordings: the total acceleration of one person doing one activity, on the 10 Hz grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Recording:
    """One person doing one activity.

    acceleration: (n, 3) total acceleration (user plus gravity) in g at 10 Hz, Core Motion's signs (a watch
    lying face up reads z = -1); stretches of several occasions stand one after another.
    """

    person: str
    activity: str
    acceleration: np.ndarray


def select(recordings: Sequence[Recording], people: set[str]) -> list[Recording]:
    """The recordings of some people."""
    return [r for r in recordings if r.person in people]
