"""How a profile of each activity is fitted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

from activitymodule.statistics.profile import BANDS_HZ, HARMONICS, LEAST_FRAMES, LEVELS, RATE_HZ

ROUNDS = 4
"""Rounds of calibration."""
STRIDE_JITTER = 0.5
"""Share of the measured spread of the stride frequency that is synthesised: the rest of it is the
demodulation's own noise."""


@dataclass(frozen=True)
class Recipe:
    """How a profile of an activity is fitted."""

    regimes: int
    """Most regimes that k-means makes."""
    lags: int
    """Samples of autocovariance kept: how fine the spectrum is before it is banded."""
    spherical: bool = True
    """Posture on the sphere of gravity (see Profile.spherical); not where the arm is thrown about."""
    gait: bool | None = False
    """Has a stride; None: decided by how periodic the recording is."""
    holds: bool = True
    """Whether each visit of a regime holds its own posture."""
    frame_seconds: int = 2
    energy_weight: float = 2.0
    """Weight of the energy beside the direction when frames are clustered."""


RECIPES: dict[str, Recipe] = {
    "walking": Recipe(6, 100, gait=True),
    "jogging": Recipe(2, 100, gait=True, spherical=False, holds=False),
    "stairs": Recipe(8, 60, gait=True),
    "sitting": Recipe(12, 60),
    "standing": Recipe(5, 60, energy_weight=3.0),
    "kicking": Recipe(10, 60, frame_seconds=1),
}
DEFAULT_RECIPE = Recipe(8, 60, gait=None)


def recipe_of(activity: str) -> Recipe:
    """The recipe of an activity; a general one where none was tuned."""
    return RECIPES.get(activity.lower(), DEFAULT_RECIPE)


def settings_used(activities: Collection[str]) -> dict[str, object]:
    """The settings of the fit, kept beside a file of statistics."""
    return {
        "rate_hz": RATE_HZ,
        "least_frames_of_a_regime": LEAST_FRAMES,
        "quantile_levels": len(LEVELS),
        "bands": len(BANDS_HZ),
        "harmonics": HARMONICS,
        "calibration_rounds": ROUNDS,
        "stride_jitter": STRIDE_JITTER,
        "recipes": {name: asdict(recipe_of(name)) for name in sorted(activities)},
    }
