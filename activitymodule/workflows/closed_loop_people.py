"""Recorded people of another watch in the closed loop: who streams, from what the champion learns, what came of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from activitymodule.errors import ConfigError, DataError
from activitymodule.kafka.truth import read_truth
from activitymodule.learning import loop_simulation as simulation
from activitymodule.learning.policy import Rules
from activitymodule.learning.training_set import only_known
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.training import fit_activity
from activitymodule.settings import Settings, resolve
from activitymodule.telemetry import prepared, recordings
from activitymodule.workflows.evaluation import evaluate
from activitymodule.workflows.replaying import replay
from activitymodule.workflows.requests import LoopPlan, RecordedPeople, TrainingRequest
from activitymodule.workflows.training_data import load_readings, load_windows

Say = Callable[[str], None]

SLIDE_SECONDS = 2  # recordings are short: windows that overlap make more of them
FOLDS = 2  # of the first champion
STEPS = 4  # of the curves
_SERVED_SECONDS = 60.0
_SERVED_SHARE = 0.95
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Split:
    """People, by name: those whose watches stream and are asked, and those who never are."""

    asked: tuple[str, ...]
    never: tuple[str, ...]

    @classmethod
    def of(cls, config: Settings, plan: RecordedPeople) -> Split:
        """A random split of the recorded people. Raises ConfigError where there are fewer than four."""
        found = recordings.find(plan.recordings, resolve(config.lake.folder) / "prepared").people
        if len(found) < 4:
            raise ConfigError(f"{plan.recordings} holds {len(found)} people; the loop needs four at least")
        mixed = np.random.default_rng(plan.seed).permutation(sorted(found)).tolist()
        asked = min(max(2, round(len(mixed) * plan.share)), len(mixed) - 2)
        return cls(tuple(sorted(mixed[:asked])), tuple(sorted(mixed[asked:])))


@dataclass(frozen=True)
class Recorded:
    """asked, never : people; served : accuracy of the stream itself on windows of those who were never asked, by the
    version that serves in the end, None where it scored none; curves : strategy -> (labels, accuracy on them)"""

    asked: tuple[str, ...]
    never: tuple[str, ...]
    served: float | None
    served_windows: int
    curves: Mapping[str, tuple[tuple[int, float], ...]]


def change_settings(tree: dict[str, Any], plan: RecordedPeople) -> None:
    """What differs where short recordings stream: windows overlap, and people rest no longer than a slide."""
    tree["windows"]["slide_seconds"] = SLIDE_SECONDS
    tree["queue"]["cooldown_minutes"] = SLIDE_SECONDS / 60
    # a registry keeps no folders, so a champion of files needs its data again
    tree["learning"]["base"] = champion_data(plan)


def champion_data(plan: RecordedPeople) -> str:
    """What the first champion learns from. Raises ConfigError where the recordings of WISDM are not there."""
    if plan.champion != "wisdm":
        return "champion" if plan.champion == "synthetic" else plan.champion
    folder = os.environ.get("ACTIVITYDATA")
    if folder is None or not (Path(folder) / "wisdm_watch.tar.gz").is_file():
        raise ConfigError(
            "--champion wisdm needs wisdm_watch.tar.gz in the folder that ACTIVITYDATA names; or give its place, "
            "--champion wisdm:PATH, or --champion synthetic"
        )
    return f"wisdm:{Path(folder) / 'wisdm_watch.tar.gz'}"


def champion_of(plan: RecordedPeople) -> TrainingRequest:
    """The training of the first champion."""
    data = champion_data(plan)
    data = "synthetic" if data == "champion" else data
    return TrainingRequest(what="activity", data=data, folds=FOLDS, promote=True)


def replay_of(plan: LoopPlan, people: Sequence[str], *, passes: int) -> list[str]:
    """The verb that streams these people."""
    assert plan.people is not None
    verb = ["replay", plan.people.recordings, "--people", ",".join(people), "--speed", f"{plan.speed:g}"]
    return [*verb, "--passes", str(passes), "--skip-gaps"]


def windows_of(config: Settings, plan: RecordedPeople, people: Sequence[str]) -> TrainingWindows:
    """Windows of these people whose activity is known, as `activity train` makes them: they do not overlap."""
    (windows,) = load_windows(_data(config, plan.recordings), config)
    return only_known(windows.take(np.flatnonzero(np.isin(windows.person, people))))


def _data(config: Settings, what: str) -> str:
    """Recordings by the name of what is prepared, as training data."""
    folder = resolve(config.lake.folder) / "prepared" / what
    return str(folder) if "/" not in what and prepared.is_prepared(folder) else what


def served(config: Settings, plan: LoopPlan, split: Split, say: Say) -> tuple[float | None, int]:
    """Stream the people who were never asked; the accuracy of what the stream wrote of them, and its windows."""
    assert plan.people is not None
    since = datetime.now(UTC)
    before = set(read_truth(config).spans.column("device_id").unique().to_pylist())
    sent = replay(config, plan.people.recordings, speed=plan.speed, people=split.never, skip_gaps=True)
    devices = set(read_truth(config).spans.column("device_id").unique().to_pylist()) - before
    say(f"{sent.people} people who were never asked have streamed")
    deadline = time.monotonic() + _SERVED_SECONDS
    found: tuple[float | None, int] = None, 0
    while time.monotonic() < deadline:
        right, compared, expected = 0.0, 0, 0
        for device in sorted(devices):
            try:
                one = evaluate(config, coverage=config.windows.queue_coverage, device=device)
            except DataError:
                continue
            right += one.raw.compared * (one.raw.accuracy or 0.0)
            compared, expected = compared + one.raw.compared, expected + one.expected
        found = (right / compared if compared else None, compared)
        if expected and compared >= _SERVED_SHARE * expected:
            break
        time.sleep(_POLL_SECONDS)
    say(f"the stream wrote {found[1]} windows of them since {since:%H:%M:%S}")
    return found


def recorded(
    config: Settings, plan: LoopPlan, split: Split, streamed: tuple[float | None, int] | None, say: Say
) -> Recorded:
    """What there is besides the comparison: the curves are made in memory (learning/loop_simulation)."""
    accuracy, windows = streamed or (None, 0)
    curves = _curves(config, plan, split, say) if plan.people is not None and plan.people.curves else {}
    return Recorded(split.asked, split.never, accuracy, windows, curves)


def _curves(
    config: Settings, plan: LoopPlan, split: Split, say: Say
) -> dict[str, tuple[tuple[int, float], ...]]:
    """Accuracy on people who were never asked, by labels: of the queue's policy, and of windows drawn at random."""
    assert plan.people is not None
    (base,) = load_windows(champion_of(plan.people).data, config, augmented=True)
    base = only_known(base)
    readings = load_readings(_data(config, plan.people.recordings), config, split.asked)
    windows = simulation.streamed(readings, config.windows)
    never = windows_of(config, plan.people, split.never)
    champion = fit_activity(base, config)
    labels = plan.teaching + plan.audit
    stops = [round(labels * k / STEPS) for k in range(1, STEPS + 1)]
    first = simulation.point(0, champion, never)
    out = {}
    for strategy in (simulation.POLICY, simulation.RANDOM):
        gold = simulation.labelled_in_turn(
            strategy, windows, champion, Rules.of(config, f"loop-{plan.people.seed}"), labels,
            error_rate=plan.error_rate, seed=plan.people.seed,
        )  # fmt: skip
        points = [first, *simulation.curve(base, gold, never, stops, config)]
        out[strategy] = tuple((one.given, one.accuracy) for one in points)
        say(f"in memory, {strategy}: " + ", ".join(f"{n} labels {share:.3f}" for n, share in out[strategy]))
    return out
