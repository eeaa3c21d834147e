"""Training sets in the lake: list them, compare two, write one out as files that a training takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.files import folder_beside
from activitymodule.lake.snapshots import Listed, find_snapshot, list_snapshots, read_snapshot
from activitymodule.learning.snapshot_changes import SnapshotChanges, changes
from activitymodule.learning.training_set import TrainingSet
from activitymodule.models.energy import PERSON_COLUMNS
from activitymodule.registry.versions import versions
from activitymodule.settings import Settings
from activitymodule.windows.catalogue import FEATURE_NAMES, FEATURES_VERSION

WINDOWS_FILE = "windows.parquet"
DESCRIPTION_FILE = "_snapshot.json"  # readers of a folder of Parquet pass over names that begin so


@dataclass(frozen=True)
class Logged:
    """A snapshot with the versions that learned from it; None where the registry does not answer."""

    snapshot: Listed
    versions: tuple[str, ...] | None


@dataclass(frozen=True)
class CheckedOut:
    """A snapshot as files. sha256 : of the windows as a training fingerprints them"""

    snapshot_id: str
    folder: Path
    windows: int
    sha256: str


def log(config: Settings) -> list[Logged]:
    """The snapshots of the lake, newest first."""
    found = list_snapshots(config)
    try:
        known = versions(config, config.registry.classifier) if found else []
    except ServiceUnavailableError:
        return [Logged(one, None) for one in found]
    learnt: dict[str, list[str]] = {}
    for version in known:
        learnt.setdefault(version.tags.get("snapshot", ""), []).append(version.version)
    return [Logged(one, tuple(learnt.get(one.snapshot_id, ()))) for one in found]


def diff(config: Settings, before: str, after: str) -> SnapshotChanges:
    """What changed from one snapshot to another, each by the beginning of its id.

    Raises NotFoundError, and DataError for a snapshot that is not what it was.
    """
    first, second = (read_snapshot(config, find_snapshot(config, one)) for one in (before, after))
    return changes(first, second)


def checkout(config: Settings, beginning: str, folder: Path) -> CheckedOut:
    """Write a snapshot into a folder: its windows as Parquet, which `activity train --data` takes, and its description.

    Raises ConfigError where the folder is not empty, NotFoundError, and DataError for one that is not what it was.
    """
    snapshot_id = find_snapshot(config, beginning)
    try:
        filled = folder.exists() and any(folder.iterdir())
    except OSError as error:
        raise ConfigError(f"{folder} cannot be the folder of a snapshot: {error.strerror}") from None
    if filled:
        raise ConfigError(f"{folder} is not empty; name a new folder for the snapshot")
    training = read_snapshot(config, snapshot_id)
    sha256 = training.windows.sha256()
    description = {
        "snapshot": snapshot_id,
        "sha256": sha256,
        "features_version": FEATURES_VERSION,
        "labels": training.labels,
        "spread": training.spread,
        "span_windows": training.span_windows,
        "left_out": training.left_out,
    }
    with folder_beside(folder) as part:
        pq.write_table(_table(training), part / WINDOWS_FILE, compression="zstd")
        (part / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    return CheckedOut(snapshot_id, folder, len(training.windows), sha256)


def _table(training: TrainingSet) -> pa.Table:
    """A window a row: its features by name, and what is known of it."""
    windows = training.windows
    columns = {name: pa.array(windows.features[:, k]) for k, name in enumerate(FEATURE_NAMES)}
    columns |= {
        "activity": pa.array(windows.activity.tolist(), pa.string()),
        "person": pa.array(windows.person.tolist(), pa.string()),
        "run": pa.array(windows.run, pa.int64()),
        "weight": pa.array(training.weights, pa.float64()),
        "copied": pa.array(windows.copied),
        "device_model": pa.array(windows.device_model.tolist(), pa.string()),
        "kcal_per_min": pa.array(windows.kcal_per_min, pa.float32()),
        "sex": pa.array(windows.people.sex.tolist(), pa.string()),
    }
    columns |= {name: pa.array(getattr(windows.people, name)) for name in PERSON_COLUMNS}
    return pa.table(columns)
