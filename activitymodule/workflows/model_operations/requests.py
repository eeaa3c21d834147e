"""What these workflows are called with, where the command line shows the defaults: imports nothing that takes time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from activitymodule.workflows.requests import TrainingRequest


@dataclass(frozen=True)
class ComparisonRequest:
    """Which model families to compare, on which data.

    data, seed, devices, minutes : as of a training; families : None: the textbook classifiers and `models.classifier`
    jobs : processes; record : whether MLflow keeps it; register : train the winner on all people, register it as
    challenger and have the gate judge it; folder : where its files are written as well
    """

    data: str = "synthetic"
    families: tuple[str, ...] | None = None
    seed: int = 1
    folds: int = 5
    devices: int = TrainingRequest.devices
    minutes: int = TrainingRequest.minutes
    jobs: int = 2
    record: bool = True
    register: bool = False
    folder: Path | None = None
