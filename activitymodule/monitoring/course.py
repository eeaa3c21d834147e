"""Drift over time: the measures of each part of the last day, by the same comparison as the report's."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from activitymodule.models.baseline import Baseline
from activitymodule.monitoring.report import compare
from activitymodule.settings import Monitoring
from activitymodule.store.connection import Connection
from activitymodule.store.drift import read_course

HOURS = 24
_LEAST_WINDOWS = 30  # of a part: with fewer it has no measures


class CoursePoint(BaseModel):
    """One part of the time. values : measure -> value; rates : activity -> share of the windows"""

    model_config = ConfigDict(frozen=True)

    begin: datetime
    windows: int
    features_over: int
    confidence: float
    missing: float = Field(description="Mean share of the windows that lack a monitored feature")
    values: dict[str, float]
    rates: dict[str, float]


def drift_course(
    connection: Connection,
    baseline: Baseline,
    version: str,
    until: datetime,
    watches: int,
    monitoring: Monitoring,
) -> tuple[CoursePoint, ...]:
    """The hours before `until`, those with few windows left out."""
    since = until - timedelta(hours=HOURS)
    points = []
    for begin, totals in read_course(connection, version, since, until, HOURS):
        fits = len(totals.counts) == len(baseline.mean) and len(totals.activities) == len(baseline.labels)
        if totals.windows < _LEAST_WINDOWS or not fits:
            continue
        found = compare(baseline, totals, watches, monitoring)
        gone = 1 - totals.counts[baseline.monitored] / totals.windows
        points.append(
            CoursePoint(
                begin=begin,
                windows=totals.windows,
                features_over=found.features_over,
                confidence=found.confidence_now,
                missing=float(np.mean(gone)) if len(gone) else 0.0,
                values={one.name: one.value for one in found.measures},
                rates={label: now for label, (now, _) in found.class_rates.items()},
            )
        )
    return tuple(points)
