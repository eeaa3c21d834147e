"""What a drift measure is, and the registry that everything which shows drift iterates over.

A module of this package makes one measure and calls `register`. Nothing else has to be edited: the report, the alarms,
`activity drift`, /monitoring/drift, the page Drift, /metrics and the dashboards take their measures from here, and
`monitoring.thresholds` sets the threshold of a measure without a key of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from activitymodule.errors import ConfigError
from activitymodule.monitoring.observation import Observation
from activitymodule.settings import Monitoring

Thresholds = Mapping[str, float]
"""Name of a measure -> its configured threshold."""


@dataclass(frozen=True)
class FeatureValues:
    """A measure of every feature; arrays (n_features,).

    threshold : the configured one, or a higher one that chance alone asks for with few people
    distance : what features are ranked by, 1 at the threshold
    """

    value: np.ndarray
    threshold: np.ndarray
    exceeded: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True)
class OverallValue:
    """A measure of all windows together. detail : the value in words; explanation : a clause for the summary."""

    value: float
    threshold: float
    exceeded: bool
    detail: str
    explanation: str


@dataclass(frozen=True)
class FeatureMeasure:
    """A measure of each feature.

    name : kept with alarms, and the key under `monitoring` that sets the threshold, where there is one; heading : of a
    table's column; threshold : without a setting; order : among the measures, smallest first
    """

    name: str
    title: str
    heading: str
    unit: str
    threshold: float
    compute: Callable[[Observation, Thresholds], FeatureValues] = field(repr=False)
    order: int = 100


@dataclass(frozen=True)
class OverallMeasure:
    """A measure of all windows together; fields as those of FeatureMeasure.

    recommends_retraining : whether a retraining is recommended where the threshold is exceeded
    number_format : how its value and threshold are shown
    """

    name: str
    title: str
    unit: str
    threshold: float
    compute: Callable[[Observation, Thresholds], OverallValue] = field(repr=False)
    recommends_retraining: bool = False
    number_format: str = ".2f"
    order: int = 100


Measure = FeatureMeasure | OverallMeasure
M = TypeVar("M", FeatureMeasure, OverallMeasure)

_MEASURES: dict[str, Measure] = {}


def register(measure: M) -> M:
    """Add a measure. Raises ConfigError where its name is taken."""
    if measure.name in _MEASURES:
        raise ConfigError(f"there are two drift measures named {measure.name}")
    _MEASURES[measure.name] = measure
    return measure


def unregister(name: str) -> None:
    """Remove a measure."""
    del _MEASURES[name]


def measures() -> list[Measure]:
    """All measures, in the order in which they are shown."""
    return sorted(_MEASURES.values(), key=lambda one: (one.order, one.name))


def feature_measures() -> list[FeatureMeasure]:
    """Those of single features."""
    return [one for one in measures() if isinstance(one, FeatureMeasure)]


def overall_measures() -> list[OverallMeasure]:
    """Those of all windows together."""
    return [one for one in measures() if isinstance(one, OverallMeasure)]


def title_of(name: str) -> str:
    """Title of a measure; its name where it is unknown, as that of an old alarm may be."""
    return _MEASURES[name].title if name in _MEASURES else name


def thresholds_of(config: Monitoring) -> dict[str, float]:
    """The threshold of every measure: its own key under `monitoring`, else `monitoring.thresholds`, else its default.

    Raises ConfigError where `monitoring.thresholds` names no measure.
    """
    unknown = set(config.thresholds) - set(_MEASURES)
    if unknown:
        raise ConfigError(
            f"monitoring.thresholds: there is no drift measure {', '.join(sorted(unknown))}; known are "
            f"{', '.join(one.name for one in measures())}"
        )
    return {
        one.name: float(config.thresholds.get(one.name, getattr(config, one.name, one.threshold)))
        for one in measures()
    }
