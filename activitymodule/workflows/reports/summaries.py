"""The summaries of a report: what came in, what the models learn from, and how good they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.behaviour.person import BEHAVIOUR
from activitymodule.behaviour.personas import Spread
from activitymodule.days.columns import DERIVED, SCHEMA
from activitymodule.workflows.behaviour.personas import PersonaOutcome
from activitymodule.workflows.behaviour.wearing import WearOutcome
from activitymodule.workflows.behaviour.workouts import WorkoutOutcome
from activitymodule.workflows.reports.metrics import Metric

Summary = dict[str, object]


def ingestion(records: pa.Table, days: pa.Table, folder: str) -> Summary:
    """Rows, people, time range, and what is left out of the days that models see, with the reason.

    records : columns.SCHEMA, any number of sources; days : the same merged, with what is derived
    """
    dates = pc.min_max(records.column("date")).as_py()
    worn = days.column("worn")
    by_source = {
        row["values"]: row["counts"] for row in pc.value_counts(records.column("source")).to_pylist()
    }
    return {
        "folder": folder,
        "rows": len(records),
        "people": len(pc.unique(records.column("participant"))),
        "first": f"{dates['min']}",
        "last": f"{dates['max']}",
        "person_days": len(days),
        "worn_days": pc.sum(worn).as_py() or 0,
        "by_source": dict(sorted(by_source.items())),
        "left_out": {
            "another source has more of the same day": len(records) - len(days),
            "less than 10 h worn, so no worn day": len(days) - (pc.sum(worn).as_py() or 0) - worn.null_count,
            "wear time unknown": worn.null_count,
        },
    }


def features(
    days: pa.Table, persona: PersonaOutcome | None, wearing: Sequence[WearOutcome]
) -> dict[str, Summary]:
    """Rows, columns, missing values and positive rate of each set of features. days : merged, with what is derived"""
    missing = {
        name: round(days.column(name).null_count / max(len(days), 1), 4)
        for name in (*SCHEMA.names, *(column.name for column in DERIVED))
    }
    found: dict[str, Summary] = {
        "daily_records": {
            "rows": len(days),
            "columns": days.num_columns,
            "missing_share": {name: share for name, share in missing.items() if share},
        }
    }
    if persona is not None:
        X = persona.people.X
        found["personas"] = {
            "rows": len(X),
            "columns": X.shape[1],
            "missing_share": {
                one.name: round(float(np.isnan(column).mean()), 4)
                for one, column in zip(BEHAVIOUR, X.T, strict=True)
            },
        }
    if wearing:
        first = wearing[0].report
        found["retention"] = {
            "rows": first.train + first.validation + first.test,
            "columns": len(first.columns),
            "positive_rate": round(first.stop_rate, 4),
            "split": first.split,
            "dropped_columns": {one.column: one.reason for one in first.dropped},
        }
    return found


def metrics(
    persona: PersonaOutcome | None, workouts: Sequence[WorkoutOutcome], wearing: Sequence[WearOutcome]
) -> list[Metric]:
    """Every figure of every model."""
    found: list[Metric] = []
    if persona is not None:
        found += _of_personas(persona)
    for workout in workouts:
        report = workout.report
        if report is not None:
            found += [
                Metric(
                    model=f"workout {workout.target}", family=report.family, data=report.data, figure=name,
                    value=figure.value, low=figure.low, high=figure.high, interval="people drawn again",
                    people=report.people, note=f"{report.folds} folds of people",
                )
                for name, figure in report.figures.items()
            ]  # fmt: skip
    for wear in wearing:
        found += [
            Metric(
                model="wear retention", family=wear.report.family, data=wear.report.data, figure=name,
                value=figure.value, low=figure.low, high=figure.high, interval="people drawn again",
                people=wear.report.people, note=f"split {wear.report.split_by}",
            )
            for name, figure in wear.report.figures.items()
        ]  # fmt: skip
    return sorted(found, key=lambda one: (one.model, one.family, one.data, one.figure))


def _of_personas(persona: PersonaOutcome) -> list[Metric]:
    report = persona.report
    data = "synthetic" if report.synthetic else "recorded"
    stability: Spread = report.stability
    common = {"model": "personas", "family": "k-means", "data": data, "people": report.people}
    found = [
        Metric(figure="silhouette", value=report.silhouette, **common),
        Metric(
            figure="stability", value=stability.mean, low=stability.low, high=stability.high,
            interval="people drawn again", note="adjusted Rand index", **common,
        ),
    ]  # fmt: skip
    if report.planted is not None:
        found.append(
            Metric(figure="recovery", value=report.planted, note="adjusted Rand, planted personas", **common)
        )
    return found
