"""Names of personas by a rule from their centroids; docs/personas.md quotes RULE."""

from __future__ import annotations

import numpy as np

from activitymodule.behaviour.person import NAMES

DISTINCT = 0.5  # standard deviations from the mean person from which a trait is named
RULE = f"""\
Centroids are standard scores: 0 is the mean person, 1 a standard deviation above.

1. The level is the mean of the scores of frequency and energy: `very active` from 1, `active` from .25,
   `moderately active` from -.25, `lightly active` from -1, `inactive` below.
2. The trait is the word of the greatest score (of either sign) of recency, variety, rhythm and steadiness, where it
   is {DISTINCT} or more: `lapsed` (a low recency has no word), `all-round` or `single-sport`, `at weekends` or
   `on workdays`, `steady` or `fluctuating`.
3. Where two personas would have one name, the words of the next traits follow until they differ; then a number."""

_LEVELS = ((1.0, "very active"), (0.25, "active"), (-0.25, "moderately active"), (-1.0, "lightly active"))
_TRAITS = {
    "recency": ("lapsed", ""),
    "variety": ("all-round", "single-sport"),
    "rhythm": ("at weekends", "on workdays"),
    "steadiness": ("steady", "fluctuating"),
}


def names_of(centroids: np.ndarray) -> tuple[str, ...]:
    """A name for each centroid, (clusters, 6) standard scores in the order of NAMES; all differ."""
    words = [[_level(one), *_traits(one)] for one in centroids]
    names = ["" for _ in words]
    for many in range(2, 2 + len(_TRAITS)):
        names = [", ".join(one[:many]) for one in words]
        if len(set(names)) == len(names):
            break
    seen: dict[str, int] = {}
    for k, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[k] = f"{name} {seen[name]}"
    return tuple(names)


def _level(centroid: np.ndarray) -> str:
    score = dict(zip(NAMES, centroid, strict=True))
    level = (score["frequency"] + score["energy"]) / 2
    return next((word for least, word in _LEVELS if level >= least), "inactive")


def _traits(centroid: np.ndarray) -> list[str]:
    score = dict(zip(NAMES, centroid, strict=True))
    found = sorted(_TRAITS, key=lambda name: -abs(score[name]))
    words = [_TRAITS[name][int(score[name] < 0)] for name in found if abs(score[name]) >= DISTINCT]
    return [word for word in words if word]
