"""The snapshot: the training set of a challenger, kept in the lake under the SHA-256 of its content."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from activitymodule.errors import DataError
from activitymodule.lake.neighbours import neighbours
from activitymodule.lake.snapshots import read_base, write_snapshot
from activitymodule.learning.gold import for_training
from activitymodule.learning.training_set import TrainingSet, only_known, with_labels
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.export import LINEAGE_FILE
from activitymodule.registry.versions import ModelVersion, fetch
from activitymodule.settings import Settings
from activitymodule.store import labels
from activitymodule.store import retraining as store
from activitymodule.store.connection import patiently, session, transact
from activitymodule.store.devices import models_for
from activitymodule.store.promotions import SnapshotRow, put_snapshot
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.windows.frame import KnownModels
from activitymodule.workflows.requests import TrainingRequest
from activitymodule.workflows.retraining.gold import gold_windows
from activitymodule.workflows.retraining.record import required, save, saved, working
from activitymodule.workflows.retraining.results import Base, CheckResult, SnapshotResult
from activitymodule.workflows.retraining.spans import SpanWindows, span_windows, with_features
from activitymodule.workflows.training_data import load_windows, public_name


def snapshot(config: Settings, run_id: str) -> SnapshotResult:
    """Put the training set together and keep it; repeated, the result is that of the first time."""
    with working(config, run_id, "snapshot") as run:
        if (done := saved(run, "snapshot", SnapshotResult)) is not None:
            return done
        windows, base = base_of(config, _champion(run))
        with session(config, read_only=True) as connection:
            rows = labels.gold_rows(connection, FEATURES_VERSION)
            spans = span_windows(config, connection)
        training = _assemble(config, windows, rows, spans)
        stored = write_snapshot(config, training)
        result = SnapshotResult(
            snapshot_id=stored.snapshot_id,
            place=stored.place,
            written=stored.written,
            windows=len(training.base.originals()) + len(training.labelled),
            labels=training.labels,
            people=training.people,
            spread=training.spread,
            span_windows=training.span_windows,
            left_out=training.left_out,
            labels_added=training.labels_added,
            newest_label=max(filter(None, (*(row.labelled_at for row in rows), spans.newest)), default=None),
            features_version=FEATURES_VERSION,
            base=base,
        )
        patiently(lambda: transact(config, lambda connection: put_snapshot(connection, _row(result))))
        return save(config, run_id, "snapshot", result, snapshot_id=stored.snapshot_id)


def _champion(run: store.Run) -> str:
    version = required(run, "check", CheckResult).champion
    if version is None:
        raise DataError(
            f"the retraining {run.run_id} has no champion to begin with; `activity train` makes one"
        )
    return version


def _row(result: SnapshotResult) -> SnapshotRow:
    detail = {"left_out", "labels_added", "spread", "span_windows", "base", "features_version"}
    return SnapshotRow(
        snapshot_id=result.snapshot_id,
        base=result.base.summary,
        windows=result.windows,
        labels=result.labels,
        people=result.people,
        place=result.place,
        detail=result.model_dump(mode="json", include=detail),
    )


def _assemble(
    config: Settings, base: TrainingWindows, rows: Sequence[labels.GoldRow], spans: SpanWindows
) -> TrainingSet:
    known = _models(config, [row.device_id for row in rows])
    gold, learning, around = gold_windows(rows, known), config.learning, None
    if learning.spread_windows and len(gold):
        own = gold.take(for_training(gold))
        places = zip(own.device_id.tolist(), own.window_us.tolist(), strict=True)
        around = neighbours(config, places, learning.spread_windows, known)
    remembered, left_out = with_features(config, spans, _models(config, spans.gold.device_id.tolist()))
    training = with_labels(base, gold + remembered, config, around)
    reasons = Counter(training.left_out) + Counter(left_out)
    return replace(training, left_out=dict(reasons))


def _models(config: Settings, devices: Sequence[str]) -> KnownModels:
    """The models of these watches, by the store."""
    watches = sorted(set(devices))
    return transact(config, lambda connection: models_for(connection, watches))


def base_of(config: Settings, version: str) -> tuple[TrainingWindows, Base]:
    """What the champion learned from besides labels, or what learning.base names, with its description.

    Raises DataError where the champion learned from files: a registry keeps no folders of a machine, so that
    learning.base has to name them.
    """
    setting = config.learning.base
    if setting != "champion":
        return _made(config, setting, {}, None, version)
    folder = fetch(config, ModelVersion(config.registry.classifier, version))
    lineage = json.loads((folder / LINEAGE_FILE).read_text(encoding="utf-8"))
    data = lineage["data"].get("base") or lineage["data"]
    sha256, source = data.get("sha256"), data["source"]
    kept = read_base(config, sha256) if sha256 else None
    if kept is not None:
        summary = f"{source}, as version {version} learned from it (kept in the lake)"
        return only_known(kept), Base(**{**data, "setting": setting, "summary": summary})
    if source != "synthetic":
        raise DataError(
            f"version {version} learned from {source}, and a registry keeps no folders; name it by learning.base "
            "(as in `activity train --data`)"
        )
    return _made(config, source, data, sha256, version)


def _made(
    config: Settings, source: str, lineage: dict[str, object], expected: str | None, version: str
) -> tuple[TrainingWindows, Base]:
    """The base, read or synthesised again; `expected` is the SHA-256 of what the champion learned from."""
    recipe = {"devices": TrainingRequest.devices, "minutes": TrainingRequest.minutes, "seed": 1}
    recipe = {key: int(str(lineage.get(key, value))) for key, value in recipe.items()}
    (windows,) = load_windows(
        source,
        config,
        devices=recipe["devices"],
        minutes=recipe["minutes"],
        seed=recipe["seed"],
        augmented=True,
    )
    base = only_known(windows)
    sha256, name = base.sha256(), public_name(source)
    same = expected in (None, sha256)
    return base, Base(
        summary=name if same else f"{name}, though not bit by bit what version {version} learned from",
        setting=config.learning.base,
        source=name,
        sha256=sha256,
        same=same,
        **(recipe if source == "synthetic" else {}),
    )
