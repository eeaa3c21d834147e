"""What the workflows are called with, where the command line shows the defaults: imports nothing that takes time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

UNBOUNDED_TREES = 100  # of the size study
DayModel = Literal["personas", "workouts", "retention"]


class DocumentBlock(StrEnum):
    """A part of docs/personas.md whose figures take a training."""

    personas = "personas"
    workouts = "workouts"
    sizes = "sizes"
    retention = "retention"


@dataclass(frozen=True)
class DayTrainingRequest:
    """What to train on which days.

    days : `daily` (watches and imports), `history` (synthesised people), a path of Parquet, or
    MAPPING:PATH, a table of days by a shipped mapping
    truth, people : Parquet of planted personas (participant, persona) and of body data (participant, age_years, ...);
    of `history` those that it was generated with
    clusters : of personas: a number, `silhouette` or `elbow`; target_precision : of wear retention
    promote : make the versions champion; evaluate_only : register nothing; folder : write the models there instead
    """

    days: str = "daily"
    truth: Path | None = None
    people: Path | None = None
    seed: int = 1
    clusters: str = "5"
    folds: int = 5
    target_precision: float = 0.5
    baseline: bool = True
    promote: bool = False
    evaluate_only: bool = False
    folder: Path | None = None
