"""Drift measures, one a file. Every module here is imported, and registers its measure (see registry)."""

from __future__ import annotations

import importlib
import pkgutil

from activitymodule.monitoring.measures.registry import (
    FeatureMeasure,
    FeatureValues,
    Measure,
    OverallMeasure,
    OverallValue,
    Thresholds,
    feature_measures,
    measures,
    overall_measures,
    register,
    thresholds_of,
    title_of,
    unregister,
)


def discover() -> None:
    """Import every module of this package, which registers its measure."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


discover()

__all__ = [
    "FeatureMeasure",
    "FeatureValues",
    "Measure",
    "OverallMeasure",
    "OverallValue",
    "Thresholds",
    "discover",
    "feature_measures",
    "measures",
    "overall_measures",
    "register",
    "thresholds_of",
    "title_of",
    "unregister",
]
