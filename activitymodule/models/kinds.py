"""The table of kinds of models: what each takes and answers. A kind on daily records is registered under its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from activitymodule.models.energy import COLUMNS
from activitymodule.windows.catalogue import FEATURE_NAMES, FEATURES_VERSION

DAYS_VERSION = "1"
"""Raise it when a column that models on daily records take is computed in another way."""


@dataclass(frozen=True)
class Kind:
    """A kind of models.

    noun : what a sentence calls it; answers : probabilities of its labels (n, n_labels), a number (n,), or distances to
    its labels (n, n_labels); columns : those that this code computes, () where each version names its own;
    version : of these columns; of_windows : whether it scores windows of the settings' length
    """

    name: str
    noun: str
    answers: Literal["probabilities", "number", "distances"]
    columns: tuple[str, ...] = ()
    version: str = DAYS_VERSION
    of_windows: bool = False


PERSONAS, WORKOUT_TYPE, WORKOUT_CALORIES = "personas", "workout-type", "workout-calories"
WEAR_RETENTION, WEAR_BASELINE = "wear-retention", "wear-retention-baseline"
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("activity", "classifier", "probabilities", FEATURE_NAMES, FEATURES_VERSION, True),
        Kind("energy", "regressor", "number", COLUMNS, FEATURES_VERSION, True),
        Kind(PERSONAS, "personas", "distances"),
        Kind(WORKOUT_TYPE, "workout type model", "probabilities"),
        Kind(WORKOUT_CALORIES, "workout calories model", "number"),
        Kind(WEAR_RETENTION, "wear retention model", "probabilities"),
        Kind(WEAR_BASELINE, "wear retention baseline", "probabilities"),
    )
}
DAY_KINDS: tuple[str, ...] = tuple(name for name, kind in KINDS.items() if not kind.of_windows)
TRAINED_BY: dict[str, str] = {
    PERSONAS: "behaviour train personas",
    WORKOUT_TYPE: "behaviour train workouts",
    WORKOUT_CALORIES: "behaviour train workouts",
    WEAR_RETENTION: "behaviour train retention",
    WEAR_BASELINE: "behaviour train retention",
}
"""Kind -> the words of the command that trains it."""
DAY_TYPES: tuple[str, ...] = (
    "activitymodule.behaviour.boosted.BoostedClassifier",
    "activitymodule.behaviour.clusters.BehaviourScaler",
    "activitymodule.behaviour.clusters.CentroidClusters",
    "activitymodule.behaviour.forest.ForestClassifier",
    "activitymodule.behaviour.forest.ForestRegressor",
    "activitymodule.behaviour.linear.LinearClassifier",
)
"""Types that their files may hold, by name: the scorer, which loads none of them, imports none of them."""
