"""Train a version again from its lineage, and compare: is it the same to the last bit?"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from activitymodule.errors import ConfigError, DataError
from activitymodule.lake.snapshots import read_snapshot
from activitymodule.learning.challenger import families_of, train_challenger, write_challenger
from activitymodule.models import export
from activitymodule.models.baseline import BASELINE_FILE
from activitymodule.models.canonical import content_sha256
from activitymodule.models.contract import probabilities_of
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import energy_matrix
from activitymodule.models.export import CARD_FILE, LINEAGE_FILE, METRICS_FILE, MODEL_FILE, Card
from activitymodule.models.familiarity import FAMILIARITY_FILE
from activitymodule.models.thresholds import THRESHOLD_FILE
from activitymodule.models.training import columns_of
from activitymodule.registry.lineage import surroundings
from activitymodule.registry.versions import fetch, get
from activitymodule.serving.checking import checked
from activitymodule.serving.exports import sha256_of
from activitymodule.settings import Settings
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.windows.frame import in_known_frame
from activitymodule.workflows import training
from activitymodule.workflows.promotion import model_name
from activitymodule.workflows.requests import TrainingRequest, What
from activitymodule.workflows.training_data import load_windows

FILES = (MODEL_FILE, CARD_FILE, METRICS_FILE, THRESHOLD_FILE, BASELINE_FILE, FAMILIARITY_FILE)
_SECTIONS = ("windows", "models")


@dataclass(frozen=True)
class FileDigests:
    """A file of a version: its SHA-256 as it was registered, and as it was made now; of a model file that of what it
    holds. None where there is none."""

    name: str
    registered: str | None
    made: str | None

    @property
    def same(self) -> bool:
        """Whether they are the same."""
        return self.registered == self.made


@dataclass(frozen=True)
class Difference:
    """What is not as it was when the version was trained."""

    what: str
    trained: str
    here: str


@dataclass(frozen=True)
class Moved:
    """How far predictions differ over the recorded windows of the training: probabilities, or kcal/min. changed : the
    share of windows with another activity, None of an energy model"""

    windows: int
    largest: float
    mean: float
    changed: float | None


@dataclass(frozen=True)
class Verification:
    """The outcome for a version. differences : known causes; moved : None where the files are the same, or where the
    two models do not answer the same question"""

    kind: str
    version: str
    files: tuple[FileDigests, ...]
    differences: tuple[Difference, ...]
    moved: Moved | None = None

    @property
    def identical(self) -> bool:
        """Whether every file is the same."""
        return all(one.same for one in self.files)

    def document(self) -> dict[str, object]:
        """All of it as one object."""
        return {
            "kind": self.kind,
            "version": self.version,
            "identical": self.identical,
            "files": self.files,
            "differences": self.differences,
            "moved": self.moved,
        }


def verify(
    config: Settings,
    kind: str,
    version: str,
    *,
    data: str | None = None,
    begin: training.Begin = training.silent,
) -> Verification:
    """Train a version again and compare its files. Blocks as long as a training does.

    data : where the recordings are that it learned from, as of a training; not needed for synthetic data and for what a
    retraining kept in the lake. Raises ModelError where there is no such version, ConfigError without the data that it
    needs, DataError for a lineage or a snapshot that cannot be used.
    """
    found = get(config, model_name(config, kind), version)
    folder = fetch(config, found)
    # the file is loaded here only where it passes its check
    checked(config, found)
    lineage = json.loads((folder / LINEAGE_FILE).read_text(encoding="utf-8"))
    card = Card.from_json((folder / CARD_FILE).read_text(encoding="utf-8"))
    own = settings_of(config, lineage)
    with tempfile.TemporaryDirectory(prefix="activity-verify-") as temporary:
        made, windows = _made(own, kind, lineage, card, data, Path(temporary), begin)
        files = tuple(_digests(folder, made, name) for name in FILES)
        differences = tuple(_differences(lineage, windows.sha256()))
        same = all(one.same for one in files)
        moved = None if same else _moved(folder, made, windows.originals())
    return Verification(kind, version, files, differences, moved)


def settings_of(config: Settings, lineage: Mapping[str, object]) -> Settings:
    """The settings with those that a version was trained with. Raises DataError where this code does not take them."""
    values = _object(_object(lineage, "config"), "values")
    try:
        update: dict[str, object] = {
            name: type(getattr(config, name)).model_validate(values[name])
            for name in _SECTIONS
            if name in values
        }
        # versions of before keep no settings of scoring
        scoring = {**config.scoring.model_dump(), **_object(values, "scoring")}
        update["scoring"] = type(config.scoring).model_validate(scoring)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"the lineage has a setting that this code does not take ({where}: {first['msg']}); verify it with the "
            "code it was trained with"
        ) from None
    return config.model_copy(update=update)


def _object(parent: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = parent.get(key)
    return found if isinstance(found, dict) else {}


def _made(
    config: Settings,
    kind: str,
    lineage: Mapping[str, object],
    card: Card,
    data: str | None,
    folder: Path,
    begin: training.Begin,
) -> tuple[Path, TrainingWindows]:
    """The folder of the version that is trained now, and the windows it learned from."""
    source, values = _object(lineage, "data"), _object(_object(lineage, "config"), "values")
    seed, folds = int(str(values.get("seed", 0))), int(str(values.get("folds", 0)))
    if (snapshot := source.get("snapshot")) is not None:
        taken = read_snapshot(config, str(snapshot))
        progress = begin("training again from the snapshot")
        families = families_of(card.feature_names)
        trained = train_challenger(
            taken, config, families=families, folds=folds, seed=seed, progress=progress
        )
        write_challenger(folder, trained, taken, config)
        return folder, taken.windows
    asked = _object(values, "request")
    origin = str(asked.get("data") or source.get("source"))
    if origin != "synthetic" and data is None:
        raise ConfigError(
            f"the version learned from {origin}, which the registry does not keep; name it by --data, as in "
            "`activity train --data`"
        )
    what: What = "activity" if kind == "activity" else "energy" if asked.get("what") == "energy" else "both"
    usual = TrainingRequest()
    request = TrainingRequest(
        what=what,
        data="synthetic" if origin == "synthetic" else str(data),
        seed=seed,
        folds=folds,
        devices=int(str(source.get("devices", usual.devices))),
        minutes=int(str(source.get("minutes", usual.minutes))),
        families=_families(asked, card),
        mirrored=bool(asked.get("mirrored")),
        folder=folder,
    )
    training.train(request, config, begin=begin)
    return folder / kind, _windows_of(request, config, kind, str(source.get("source")))


def _families(asked: Mapping[str, object], card: Card) -> tuple[str, ...] | None:
    """The feature families of the classifier. Earlier versions kept no request, but a classifier's card names them."""
    named = asked.get("families")
    if isinstance(named, list):
        return tuple(str(name) for name in named)
    return families_of(card.feature_names) if card.kind == "activity" else None


def _windows_of(request: TrainingRequest, config: Settings, kind: str, source: str) -> TrainingWindows:
    """The windows that the training of a request learned from."""
    name = "synthetic" if source == "synthetic" else request.data
    (windows,) = load_windows(
        name,
        config,
        devices=request.devices,
        minutes=request.minutes,
        seed=request.seed,
        augmented=kind == "activity",
    )
    known = windows.activity != "" if kind == "activity" else np.isfinite(windows.kcal_per_min)
    return windows.take(np.flatnonzero(known))


def _digests(registered: Path, made: Path, name: str) -> FileDigests:
    of = content_sha256 if name == MODEL_FILE else sha256_of
    first, second = (folder / name for folder in (registered, made))
    return FileDigests(
        name,
        of(first.read_bytes()) if first.is_file() else None,
        of(second.read_bytes()) if second.is_file() else None,
    )


def _differences(lineage: Mapping[str, object], sha256: str) -> list[Difference]:
    """What is known to differ from the training: its data, the code, the libraries, the machine."""
    trained = str(_object(lineage, "data").get("sha256"))
    found = [] if trained == sha256 else [Difference("training data (SHA-256)", trained, sha256)]
    for name, here in surroundings().items():
        before = lineage.get(name)
        if before is None:  # earlier versions did not keep it
            continue
        if not isinstance(here, dict):
            found += [Difference(name.replace("_", " "), str(before), str(here))] if before != here else []
            continue
        for part, value in here.items():
            was = _object(lineage, name).get(part)
            if was is not None and was != value:
                found.append(Difference(f"{name} {part}", str(was), str(value)))
    return found


def _moved(registered: Path, made: Path, windows: TrainingWindows) -> Moved | None:
    """How far the answers of both models to the recorded windows differ."""
    before, after = (_answers(folder, windows) for folder in (registered, made))
    if before is None or after is None or before.shape != after.shape:
        return None
    distance = np.abs(before - after)
    changed = float((before.argmax(1) != after.argmax(1)).mean()) if before.ndim == 2 else None
    return Moved(len(windows), float(distance.max()), float(distance.mean()), changed)


def _answers(folder: Path, windows: TrainingWindows) -> np.ndarray | None:
    """Probabilities (n_windows, n_labels) or kcal/min (n_windows,); None for features that this code does not have."""
    card = Card.from_json((folder / CARD_FILE).read_text(encoding="utf-8"))
    model = export.load((folder / MODEL_FILE).read_bytes(), "the model")
    if card.kind == "energy":
        place = {label: float(k) for k, label in enumerate(card.labels)}
        code = np.array([place.get(one, np.nan) for one in windows.activity.tolist()], float)
        return np.asarray(model.predict(energy_matrix(windows.features, FEATURE_NAMES, windows.people, code)))
    if not set(card.feature_names) <= set(FEATURE_NAMES):
        return None
    known = in_known_frame(windows.device_model.tolist())
    return probabilities_of(model, columns_of(windows.features, card.feature_names), known)
