"""Training sets in the lake, named by their content, so that the same content is written once.

    training/windows-SHA256.parquet     windows with features, activity, person and weight
    training/snapshot-SHA256.json       a training set: its base, and the labelled windows
    training/runs/RUN.npz               both models' predictions of the audit windows of a run

Snapshots share their base, so a retraining adds only its labels.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from activitymodule.errors import DataError, NotFoundError, ServiceUnavailableError
from activitymodule.lake.folder import entries
from activitymodule.learning.training_set import TrainingSet
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import PERSON_COLUMNS, PersonColumns
from activitymodule.settings import Settings, location
from activitymodule.telemetry.untrusted import readable
from activitymodule.windows.catalogue import FEATURE_NAMES, FEATURES_VERSION

FOLDER = "training"
_SNAPSHOT = f"{FOLDER}/snapshot-"


@dataclass(frozen=True)
class Stored:
    """Where a snapshot is (within the lake), and whether it was written now."""

    snapshot_id: str
    place: str
    written: bool


class _Lake:
    """Files of the lake by their path in it, on disk or in object storage; a file appears complete or not at all."""

    def __init__(self, config: Settings) -> None:
        self.root = location(config.lake.folder)
        try:
            self.files, self.base = fs.FileSystem.from_uri(self.root)
        except (pa.ArrowInvalid, OSError) as error:
            raise ServiceUnavailableError(f"the lake at {self.root} cannot be used: {error}") from None

    def path(self, place: str) -> str:
        return f"{self.base}/{place}"

    def there(self, place: str) -> bool:
        return self.files.get_file_info(self.path(place)).type == fs.FileType.File

    def read(self, place: str) -> bytes:
        try:
            with self.files.open_input_stream(self.path(place)) as stream:
                return stream.read()
        except FileNotFoundError:
            raise DataError(f"the lake at {self.root} no longer has {place}") from None
        except OSError as error:
            raise ServiceUnavailableError(f"the lake at {self.root} cannot be read: {error}") from None

    def written_at(self, place: str) -> datetime | None:
        """UTC."""
        at = self.files.get_file_info(self.path(place)).mtime
        return None if at is None else at.astimezone(UTC)

    def size(self, place: str) -> int:
        return self.files.get_file_info(self.path(place)).size or 0

    def places(self, beginning: str) -> list[str]:
        """Files of a folder whose path in the lake begins so."""
        folder = beginning.rpartition("/")[0]
        found = entries(self.files, self.path(folder))
        places = (f"{folder}/{info.base_name}" for info in found if info.is_file)
        return [place for place in places if place.startswith(beginning)]

    def delete(self, place: str) -> None:
        try:
            if self.there(place):
                self.files.delete_file(self.path(place))
        except OSError as error:
            raise ServiceUnavailableError(f"the lake at {self.root} cannot be written: {error}") from None

    def write(self, place: str, content: bytes) -> None:
        folder, _, name = self.path(place).rpartition("/")
        partial = f"{folder}/.{name}.{hashlib.sha256(content).hexdigest()[:8]}"
        try:
            self.files.create_dir(folder, recursive=True)
            with self.files.open_output_stream(partial) as stream:
                stream.write(content)
            self.files.move(partial, self.path(place))
        except OSError as error:
            raise ServiceUnavailableError(f"the lake at {self.root} cannot be written: {error}") from None


def _table(windows: TrainingWindows, weight: np.ndarray) -> pa.Table:
    wide = pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(windows.features, np.float32).ravel()), len(FEATURE_NAMES)
    )
    columns: dict[str, pa.Array] = {
        "features": wide,
        "activity": pa.array(windows.activity.tolist(), pa.string()),
        "person": pa.array(windows.person.tolist(), pa.string()),
        "run": pa.array(windows.run, pa.int64()),
        "weight": pa.array(weight, pa.float64()),
        "copied": pa.array(windows.copied),
        "device_model": pa.array(windows.device_model.tolist(), pa.string()),
        "kcal_per_min": pa.array(windows.kcal_per_min, pa.float32()),
        "sex": pa.array(windows.people.sex.tolist(), pa.string()),
    }
    for name in PERSON_COLUMNS:
        columns[name] = pa.array(np.asarray(getattr(windows.people, name), np.float32))
    return pa.table(columns).replace_schema_metadata({"features_version": FEATURES_VERSION})


def _windows(content: bytes, place: str) -> tuple[TrainingWindows, np.ndarray]:
    table = pq.read_table(io.BytesIO(content)).combine_chunks()
    version = (table.schema.metadata or {}).get(b"features_version", b"").decode()
    if version != FEATURES_VERSION:
        raise DataError(
            f"{place} in the lake holds features of version {version or 'unknown'}, this code computes "
            f"{FEATURES_VERSION}; take a new snapshot"
        )
    n = len(table)
    column = table.column("features").combine_chunks()
    wide = column.flatten() if n else pa.array([], pa.float32())
    text = {name: np.array(table.column(name).to_pylist(), object) for name in ("activity", "person", "sex")}
    windows = TrainingWindows(
        features=wide.to_numpy(zero_copy_only=False).reshape(n, len(FEATURE_NAMES)).astype(np.float32),
        activity=text["activity"].astype(str),
        person=text["person"].astype(str),
        run=table.column("run").to_numpy(),
        kcal_per_min=table.column("kcal_per_min").to_numpy(),
        people=PersonColumns(
            sex=text["sex"], **{name: table.column(name).to_numpy() for name in PERSON_COLUMNS}
        ),
        # snapshots of earlier versions have no copies
        copied=(
            table.column("copied").to_numpy(zero_copy_only=False)
            if "copied" in table.column_names
            else np.zeros(n, bool)
        ),
        # nor do they have device models
        device_model=(
            np.array(table.column("device_model").to_pylist(), str)
            if "device_model" in table.column_names
            else np.empty(0, str)
        ),
    )
    return windows, table.column("weight").to_numpy()


def _windows_place(sha256: str) -> str:
    return f"{FOLDER}/windows-{sha256}.parquet"


def _write_windows(lake: _Lake, sha256: str, windows: TrainingWindows, weight: np.ndarray) -> None:
    place = _windows_place(sha256)
    if lake.there(place):
        return
    sink = io.BytesIO()
    pq.write_table(_table(windows, weight), sink, compression="zstd")
    lake.write(place, sink.getvalue())


def write_snapshot(config: Settings, training: TrainingSet) -> Stored:
    """Store a training set, unless its content is stored already."""
    lake, snapshot_id = _Lake(config), training.sha256()
    place = f"{_SNAPSHOT}{snapshot_id}.json"
    if lake.there(place):
        return Stored(snapshot_id, place, False)
    base, labelled = training.base.sha256(), training.labelled_sha256()
    _write_windows(lake, base, training.base, np.ones(len(training.base)))
    _write_windows(lake, labelled, training.labelled, training.weight)
    described = {
        "base": base,
        "taught": labelled,
        "labels": training.labels,
        "spread": training.spread,
        "span_windows": training.span_windows,
        "labels_added": list(training.labels_added),
        "left_out": training.left_out,
        "features_version": FEATURES_VERSION,
    }
    # written last: its existence means that the snapshot is complete
    lake.write(place, json.dumps(described, indent=1).encode())
    return Stored(snapshot_id, place, True)


def read_snapshot(config: Settings, snapshot_id: str) -> TrainingSet:
    """A training set by its id. Raises DataError where it is missing, or its content does not match its id."""
    lake = _Lake(config)
    with readable(f"the snapshot {snapshot_id[:12]} in the lake"):
        described = json.loads(lake.read(f"{_SNAPSHOT}{snapshot_id}.json"))
        base, _ = _windows(lake.read(_windows_place(described["base"])), "the base")
        labelled, weight = _windows(lake.read(_windows_place(described["taught"])), "the labels")
        training = TrainingSet(
            base=base,
            labelled=labelled,
            weight=weight,
            labels=described["labels"],
            spread=described["spread"],
            left_out=described["left_out"],
            labels_added=tuple(described["labels_added"]),
            span_windows=described.get("span_windows", 0),  # absent in those of version 0.1.0
        )
    if (erasure := described.get("changed_by_erasure")) is not None:
        raise DataError(
            f"the snapshot {snapshot_id[:12]} is no longer what it was: erasure {erasure} removed a person from it, so "
            "that models trained on it cannot be reproduced; take a new one"
        )
    if training.sha256() != snapshot_id:
        raise DataError(f"the snapshot {snapshot_id[:12]} in the lake has changed; take a new one")
    return training


def _own_files(lake: _Lake, snapshot_id: str) -> list[str]:
    """Files that only this snapshot needs: its labelled windows, where no other one has the same, and its description.

    Its base stays: models were trained on it, with and without labels.
    """
    place = f"{_SNAPSHOT}{snapshot_id}.json"
    if not lake.there(place):
        return []
    taught = json.loads(lake.read(place))["taught"]
    others = {json.loads(lake.read(other))["taught"] for other in lake.places(_SNAPSHOT) if other != place}
    return [place] if taught in others else [_windows_place(taught), place]


def snapshot_bytes(config: Settings, snapshot_id: str) -> int:
    """How much room the deletion of a snapshot would make."""
    lake = _Lake(config)
    return sum(lake.size(place) for place in _own_files(lake, snapshot_id))


def delete_snapshot(config: Settings, snapshot_id: str) -> int:
    """Delete the files of a snapshot, its description last; returns their bytes. Done twice, it does nothing."""
    lake = _Lake(config)
    places = _own_files(lake, snapshot_id)
    freed = sum(lake.size(place) for place in places)
    for place in places:
        lake.delete(place)
    return freed


def snapshots_with(config: Settings, sha256: str) -> list[str]:
    """The snapshots with these windows, by the fingerprint in the name of their file."""
    lake = _Lake(config)
    found = []
    for place in lake.places(_SNAPSHOT):
        described = json.loads(lake.read(place))
        if sha256 in (described["base"], described["taught"]):
            found.append(place.removeprefix(_SNAPSHOT).removesuffix(".json"))
    return found


def mark_changed(config: Settings, snapshot_id: str, erasure_id: int) -> None:
    """Write into a snapshot that an erasure removes windows from it, so that whoever reads it learns why it changed."""
    lake, place = _Lake(config), f"{_SNAPSHOT}{snapshot_id}.json"
    described = json.loads(lake.read(place))
    if "changed_by_erasure" not in described:
        lake.write(place, json.dumps({**described, "changed_by_erasure": erasure_id}, indent=1).encode())


@dataclass(frozen=True)
class Listed:
    """A snapshot as it lies in the lake. at : when it was written; windows : of base and labels, copies among them;
    labels : gold labels; people : who gave windows; changed_by_erasure : the erasure that removed a person from it"""

    snapshot_id: str
    at: datetime | None
    base: str
    windows: int
    labels: int
    people: int
    labels_added: tuple[str, ...]
    changed_by_erasure: int | None


def list_snapshots(config: Settings) -> list[Listed]:
    """The snapshots of the lake, newest first."""
    lake, people = _Lake(config), _People()
    found = []
    for place in lake.places(_SNAPSHOT):
        described = json.loads(lake.read(place))
        parts = [people.of(lake, described[part]) for part in ("base", "taught")]
        found.append(
            Listed(
                snapshot_id=place.removeprefix(_SNAPSHOT).removesuffix(".json"),
                at=lake.written_at(place),
                base=described["base"],
                windows=sum(len(part) for part in parts),
                labels=described["labels"],
                people=len(set().union(*map(set, parts))),
                labels_added=tuple(described["labels_added"]),
                changed_by_erasure=described.get("changed_by_erasure"),
            )
        )
    return sorted(
        found, key=lambda one: (one.at or datetime.min.replace(tzinfo=UTC), one.snapshot_id), reverse=True
    )


class _People:
    """The person of each window of files, read once a file: snapshots share their base."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}

    def of(self, lake: _Lake, sha256: str) -> list[str]:
        if sha256 not in self._known:
            place = _windows_place(sha256)
            # a file that retention or an erasure removed has no windows
            content = lake.read(place) if lake.there(place) else None
            with readable(f"{place} in the lake"):
                self._known[sha256] = (
                    []
                    if content is None
                    else pq.read_table(io.BytesIO(content), columns=["person"])["person"].to_pylist()
                )
        return self._known[sha256]


def find_snapshot(config: Settings, beginning: str) -> str:
    """The id of the only snapshot whose id begins so. Raises NotFoundError where there is none, or more than one."""
    ids = [
        place.removeprefix(_SNAPSHOT).removesuffix(".json")
        for place in _Lake(config).places(_SNAPSHOT)
        if place.removeprefix(_SNAPSHOT).startswith(beginning)
    ]
    if len(ids) != 1 or not beginning:
        raise NotFoundError(
            f"{len(ids) or 'no'} snapshots of the lake begin with {beginning[:64]!r}; `activity data log` lists them"
        )
    return ids[0]


def read_base(config: Settings, sha256: str) -> TrainingWindows | None:
    """Training windows of a model, by the fingerprint in its lineage; None where the lake does not have them."""
    lake, place = _Lake(config), _windows_place(sha256)
    if not lake.there(place):
        return None
    with readable(f"{place} in the lake"):
        return _windows(lake.read(place), place)[0]


def write_evaluation(config: Settings, run_id: str, arrays: dict[str, np.ndarray]) -> str:
    """Store the predictions of a run's models for the audit windows; returns the path within the lake."""
    sink = io.BytesIO()
    np.savez_compressed(sink, **arrays)  # type: ignore[arg-type]
    place = f"{FOLDER}/runs/{run_id}.npz"
    _Lake(config).write(place, sink.getvalue())
    return place


def read_evaluation(config: Settings, run_id: str) -> dict[str, np.ndarray]:
    """The arrays of `write_evaluation`. Raises DataError where they are missing."""
    place = f"{FOLDER}/runs/{run_id}.npz"
    content = _Lake(config).read(place)
    with readable(f"{place} in the lake"), np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
