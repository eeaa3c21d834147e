"""Exports of personas: who belongs where, the centroids, how many there could be, and the figures of the fit."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa

from activitymodule.behaviour.person import NAMES
from activitymodule.lake.exports import write_export
from activitymodule.workflows.behaviour.personas import PersonaOutcome

_NUMBER, _WHOLE, _TEXT = pa.float64(), pa.int64(), pa.string()
_SIX = [(name, _NUMBER) for name in NAMES]
PEOPLE = pa.schema([("participant", _TEXT), ("persona", _TEXT), *_SIX])
CENTROIDS = pa.schema(
    [("number", _WHOLE), ("persona", _TEXT), ("people", _WHOLE), ("share", _NUMBER), *_SIX]
    + [(f"{name}_score", _NUMBER) for name in NAMES]
)
COUNTS = pa.schema(
    [("clusters", _WHOLE)]
    + [(f"{figure}{part}", _NUMBER) for figure in ("silhouette", "inertia") for part in ("", "_sd")]
)
FIT = pa.schema(
    [("people", _WHOLE), ("synthetic", pa.bool_()), ("clusters", _WHOLE), ("by_silhouette", _WHOLE)]
    + [("by_elbow", _WHOLE)]
    + [(name, _NUMBER) for name in ("silhouette", "stability", "stability_low", "stability_high", "planted")]
)


def write_personas(folder: Path, outcome: PersonaOutcome) -> dict[str, str]:
    """Write the four exports; participant -> persona."""
    report = outcome.report
    names = [outcome.fit.names[int(k)] for k in outcome.fit.assigned]
    people = [
        {"participant": person, "persona": name, **dict(zip(NAMES, map(_known, row), strict=True))}
        for person, name, row in zip(outcome.people.people, names, outcome.people.X, strict=True)
    ]
    centroids = [
        {
            "number": k,
            "persona": one.name,
            "people": one.people,
            "share": one.share,
            **{name: _known(value) for name, value in one.centroid.items()},
            **{f"{name}_score": value for name, value in one.scores.items()},
        }
        for k, one in enumerate(report.personas)
    ]
    counts = [
        {
            "clusters": one.clusters,
            "silhouette": one.silhouette.mean,
            "silhouette_sd": one.silhouette.sd,
            "inertia": one.inertia.mean,
            "inertia_sd": one.inertia.sd,
        }
        for one in report.counts
    ]
    fit = {
        "people": report.people,
        "synthetic": report.synthetic,
        "clusters": report.clusters,
        "by_silhouette": report.by_silhouette,
        "by_elbow": report.by_elbow,
        "silhouette": report.silhouette,
        "stability": report.stability.mean,
        "stability_low": report.stability.low,
        "stability_high": report.stability.high,
        "planted": report.planted,
    }
    for name, rows, schema, order in (
        ("personas", people, PEOPLE, "participant"),
        ("persona_centroids", centroids, CENTROIDS, "number"),
        ("persona_counts", counts, COUNTS, "clusters"),
        ("persona_fit", [fit], FIT, "clusters"),
    ):
        write_export(folder, name, pa.Table.from_pylist(rows, schema), order=(order,))
    return dict(zip(outcome.people.people, names, strict=True))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
