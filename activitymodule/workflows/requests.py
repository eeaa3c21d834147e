"""What workflows are called with, where the command line shows the defaults: imports nothing that takes time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

What = Literal["activity", "energy", "both"]


@dataclass(frozen=True)
class TrainingRequest:
    """What to train, on which data, and what to do with the result.

    data : `synthetic`, SOURCE:PATH, or a path of Parquet; devices, minutes : of synthetic data
    folds : None: 10, or 5 for synthetic data; families : feature families of the classifier, None: its own
    promote : make the version champion; never_promote : not even where there is no champion
    evaluate_only : register nothing; if_missing : skip a model that has a champion
    mirrored : also evaluate on mirrored readings; folder : write the model there instead of registering it
    """

    what: What = "both"
    data: str = "synthetic"
    seed: int = 1
    folds: int | None = None
    devices: int = 40
    minutes: int = 30
    families: tuple[str, ...] | None = None
    promote: bool = False
    never_promote: bool = False
    evaluate_only: bool = False
    if_missing: bool = False
    mirrored: bool = False
    folder: Path | None = None


@dataclass(frozen=True)
class HeldOut:
    """Windows that no training had: of synthesised people of another seed, or `data` as `activity train` takes it."""

    data: str = "synthetic"
    devices: int = 12
    minutes: int = 10
    seed: int = 990


@dataclass(frozen=True)
class BenchRequest:
    """A benchmark of the engines that can score with a version.

    runs : rounds, in which the engines take turns; batches : windows a call; windows : what accuracy is measured on
    """

    runs: int = 10
    batches: tuple[int, ...] = (1, 16, 256, 4096)
    windows: HeldOut = HeldOut()


@dataclass(frozen=True)
class RecordedPeople:
    """Recorded people in the place of the fleet: some are asked, the others never are.

    recordings : as `activity replay` takes them; champion : `wisdm`, `synthetic`, or data as `activity train` takes it
    share : of the people who are asked; seed : of that split; passes : how often they are sent at most
    curves : whether also to retrain in memory by fewer labels, and by labels of windows drawn at random
    """

    recordings: str
    champion: str = "wisdm"
    share: float = 0.5
    seed: int = 1
    passes: int = 40
    curves: bool = True


@dataclass(frozen=True)
class LoopPlan:
    """A run of the closed loop. The first champion learns from `base_people`; the fleet and the people of the final
    evaluation are others (other seeds).

    speed : of the fleet, 1 is real time; teaching, audit : labels to wait for; people : who stream in the place of the
    fleet
    """

    base_people: int = 3
    base_minutes: int = 10
    base_seed: int = 3
    watches: int = 40
    speed: float = 10.0
    fleet_seed: int = 12
    teaching: int = 250
    audit: int = 300
    error_rate: float = 0.02
    at_most_seconds: float = 600.0
    unseen_people: int = 30
    unseen_minutes: int = 20
    unseen_seed: int = 99
    people: RecordedPeople | None = None


PEOPLE_PLAN = LoopPlan(speed=4.0, teaching=80, audit=100)
"""What is usual where recorded people stream, who are few."""
