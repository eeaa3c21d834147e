"""Drift by group of watches, such as a device model: activity rates and confidence beside those of training.

Features are counted for all watches together, so that nothing is kept by watch; what is compared here comes from the
predictions.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from activitymodule.models.baseline import Baseline
from activitymodule.models.evaluation.slices import parts, slicings_of
from activitymodule.store.connection import Connection
from activitymodule.store.drift import read_by_watch
from activitymodule.store.slices import groups_for


class SliceDrift(BaseModel):
    """The windows of one group of watches against the baseline."""

    model_config = ConfigDict(frozen=True)

    kind: str = Field(examples=["device model"])
    name: str = Field(examples=["empatica-e4"])
    windows: int
    watches: int
    class_shift: float = Field(description="Half the sum of the differences of the activity rates")
    confidence_now: float
    confidence_expected: float = Field(
        description="Of held-out people, for the activities that are predicted now"
    )


def drift_slices(
    connection: Connection,
    baseline: Baseline,
    version: str,
    since: datetime,
    until: datetime,
    least_coverage: float,
) -> tuple[SliceDrift, ...]:
    """Every group of the watches with complete windows of a version that start in (since, until]."""
    rows = read_by_watch(connection, version, since, until, least_coverage)
    place = {label: k for k, label in enumerate(baseline.labels)}
    rows = [row for row in rows if row.activity in place]
    if not rows:
        return ()
    watch = np.array([row.device_id for row in rows], str)
    label = np.array([place[row.activity] for row in rows])
    windows = np.array([row.windows for row in rows])
    confidence = np.array([row.confidence_sum for row in rows])
    found = []
    for kind, name, own in parts(slicings_of(groups_for(connection, watch.tolist()), watch.tolist())):
        counts = np.bincount(label[own], windows[own], len(baseline.labels))
        total = int(windows[own].sum())
        found.append(
            SliceDrift(
                kind=kind,
                name=name,
                windows=total,
                watches=len(np.unique(watch[own])),
                class_shift=float(np.abs(counts / total - baseline.class_rates).sum() / 2),
                confidence_now=float(confidence[own].sum() / total),
                confidence_expected=baseline.expected(counts)[2],
            )
        )
    return tuple(found)


def slices_table(found: tuple[SliceDrift, ...]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The groups as a table."""
    columns = ("of", "group", "windows", "watches", "activity rates", "confidence", "expected")
    return columns, [
        (
            one.kind,
            one.name,
            f"{one.windows:,}",
            f"{one.watches:,}",
            f"{one.class_shift:.2f}",
            f"{one.confidence_now:.1%}",
            f"{one.confidence_expected:.1%}",
        )
        for one in found
    ]
