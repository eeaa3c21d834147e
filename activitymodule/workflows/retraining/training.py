"""The training: a challenger by the champion's recipe, registered under the alias `challenger`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from activitymodule.lake.snapshots import read_snapshot
from activitymodule.learning.challenger import (
    families_of,
    headline,
    parameters,
    train_challenger,
    write_challenger,
)
from activitymodule.learning.training_set import TrainingSet
from activitymodule.models.export import CARD_FILE, Card
from activitymodule.models.families import classifier_family
from activitymodule.models.training import ActivityTraining
from activitymodule.registry.lineage import smoothing, write_lineage
from activitymodule.registry.versions import ModelVersion, fetch, register, set_challenger, versions
from activitymodule.settings import Settings
from activitymodule.workflows.model_operations.exporting import export_new
from activitymodule.workflows.retraining.record import PROGRESS, note, required, save, saved, working
from activitymodule.workflows.retraining.results import CheckResult, Options, SnapshotResult, TrainingResult

RUN_TAG = "retrain_run"
"""The tag of a version that names the run which made it."""


def train(config: Settings, run_id: str, *, seed: int | None = None) -> TrainingResult:
    """Train the challenger and register it; one that this run has registered already is taken as it is.

    seed : that of the run's options where None.
    """
    with working(config, run_id, "train") as run:
        name = config.registry.classifier
        options = Options.model_validate(run.options)
        if options.challenger is not None:
            given = TrainingResult(challenger=options.challenger, seed=options.seed)
            set_challenger(config, ModelVersion(name, given.challenger))
            return save(config, run_id, "train", given, challenger=given.challenger)
        config = with_family(config)
        taken = required(run, "snapshot", SnapshotResult)
        own = [one for one in versions(config, name) if one.tags.get(RUN_TAG) == run_id]
        done = saved(run, "train", TrainingResult)
        if done is not None and any(one.version == done.challenger for one in own):
            return done
        seed = options.seed if seed is None else seed
        metrics: dict[str, float] = {}
        if own:
            # it died between registering and recording that
            version = own[0]
        else:
            checked = required(run, "check", CheckResult)
            version, metrics = _train(config, run_id, checked, taken, seed)
        set_challenger(config, version)
        family = config.learning.family
        result = TrainingResult(challenger=version.version, seed=seed, family=family, metrics=metrics)
        return save(config, run_id, "train", result, challenger=version.version)


def with_family(config: Settings) -> Settings:
    """The settings with `learning.family`, where it is set, as the family of the classifier."""
    family = config.learning.family or config.models.classifier
    classifier_family(family)
    return config.model_copy(update={"models": config.models.model_copy(update={"classifier": family})})


def _train(
    config: Settings, run_id: str, checked: CheckResult, taken: SnapshotResult, seed: int
) -> tuple[ModelVersion, dict[str, float]]:
    training, serving = read_snapshot(config, taken.snapshot_id), str(checked.champion)
    folder = fetch(config, ModelVersion(config.registry.classifier, serving))
    card = Card.from_json((folder / CARD_FILE).read_text(encoding="utf-8"))
    trained = train_challenger(
        training,
        config,
        families=families_of(card.feature_names),
        seed=seed,
        progress=_progress_of(config, run_id),
    )
    version = _register(config, run_id, trained, training, taken, serving, seed)
    return version, headline(trained)


def _progress_of(config: Settings, run_id: str) -> Callable[[int, int], None]:
    """Records how far the training is, as its share of the whole run."""
    first, last = PROGRESS["train"], PROGRESS["evaluate"]

    def report(done: int, of: int) -> None:
        share = first + (last - first) * done / max(of + 1, 1)
        note(config, run_id, f"cross-validation by person: fold {done} of {of}", share)

    return report


def _register(
    config: Settings,
    run_id: str,
    trained: ActivityTraining,
    training: TrainingSet,
    taken: SnapshotResult,
    serving: str,
    seed: int,
) -> ModelVersion:
    windows, source = training.windows, f"{taken.base.source} and {training.labels} labels"
    if training.span_windows:
        source += f" and {training.span_windows} windows under spans"
    with tempfile.TemporaryDirectory(prefix="activity-challenger-") as temporary:
        folder = Path(temporary)
        sha256 = write_challenger(folder, trained, training, config)
        write_lineage(
            folder,
            data={
                "source": source,
                "sha256": windows.sha256(),
                "windows": trained.report.windows,
                "copies": int(windows.copied.sum()),
                "people": training.people,
                "snapshot": taken.snapshot_id,
                "labels": training.labels,
                "spread": training.spread,
                "span_windows": training.span_windows,
                "base": {**taken.base.lineage(), "sha256": training.base.sha256()},
            },
            config={
                "windows": config.windows.model_dump(),
                "models": config.models.model_dump(),
                "scoring": smoothing(config),
                "learning": config.learning.model_dump(exclude={"base"}),
                "seed": seed,
                "folds": trained.report.folds,
                "parameters": parameters(trained),
            },
            model_sha256=sha256,
            parents={"champion": serving},
        )
        version = register(
            config,
            config.registry.classifier,
            folder,
            headline(trained),
            parameters={"snapshot": taken.snapshot_id, "labels": training.labels, "seed": seed},
            tags={
                "kind": "activity",
                "data": source,
                "snapshot": taken.snapshot_id,
                "against": serving,
                RUN_TAG: run_id,
            },
        )
        export_new(config, "activity", version, folder, windows, source)
        return version
