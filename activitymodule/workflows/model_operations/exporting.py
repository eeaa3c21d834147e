"""Exports of versions to ONNX, and how far their answers lie from those of the model file.

An export lies beside its version in the registry. The store names its SHA-256 and the outcome of the comparison: an
export that failed it, or another file, does not serve (serving/exports).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

from activitymodule.errors import ModelNotConvertibleError, NotFoundError
from activitymodule.models.answering import ask
from activitymodule.models.bundle import ModelBytes, load_model
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import energy_matrix
from activitymodule.models.export import Card, check_size
from activitymodule.models.onnx.graph import needed, to_onnx
from activitymodule.models.onnx.parity import FILES, INT8, ONNX, parity
from activitymodule.models.onnx.quantising import quantised
from activitymodule.models.onnx.session import OnnxModel, available
from activitymodule.registry.versions import ModelVersion, beside, get, keep
from activitymodule.serving.checking import checked
from activitymodule.serving.exports import OF_WINDOWS, sha256_of
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.model_exports import ModelExport, exports_of, record_export
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.workflows.promotion import model_name
from activitymodule.workflows.requests import HeldOut
from activitymodule.workflows.training_data import load_windows, public_name

_LIBRARIES = ("onnx", "onnxruntime", "numpy", "lightgbm", "scikit-learn")
_MOST_WINDOWS = 4000  # that a comparison needs


@dataclass(frozen=True)
class Exported:
    """An export of a version as it was compared. megabytes : of its file, 10^6 bytes each"""

    name: str
    version: str
    file: str
    megabytes: float
    export: ModelExport


def held_out(config: Settings, request: HeldOut) -> TrainingWindows:
    """The windows that a comparison is made on: by default of synthesised people whom no training has drawn."""
    (windows,) = load_windows(
        request.data, config, devices=request.devices, minutes=request.minutes, seed=request.seed
    )
    return windows


def inputs_of(card: Card, windows: TrainingWindows) -> np.ndarray:
    """The inputs of a model of these windows, (n, len(card.feature_names)); a regressor's activities go through its
    labels, and none."""
    if card.kind == "activity":
        return windows.features[:, [FEATURE_NAMES.index(name) for name in card.feature_names]]
    codes = np.arange(len(windows)) % (len(card.labels) + 1)
    known = np.where(codes < len(card.labels), codes, np.nan)
    return energy_matrix(windows.features, FEATURE_NAMES, windows.people, known)


def export(
    config: Settings, kind: str, version: str, form: str = ONNX, request: HeldOut | None = None
) -> Exported:
    """Export a version of the registry, compare it on held-out windows, and put it beside the version.

    Raises ModelError where the version is refused or has no such form, ConfigError, ServiceUnavailableError.
    """
    needed()
    request = request or HeldOut()
    found = get(config, model_name(config, kind), version)
    stored = checked(config, found).stored
    return _exported(config, found, kind, stored, form, held_out(config, request), public_name(request.data))


def export_new(
    config: Settings, kind: str, version: ModelVersion, folder: Path, windows: TrainingWindows, data: str
) -> Exported | None:
    """Export a version that was just registered from a folder, where `scoring.engine` is onnx and it has that form.

    windows : of its training, on which it is compared; data : their name
    """
    if config.scoring.engine != ONNX or kind not in OF_WINDOWS or not available():
        return None
    stored = ModelBytes.read(folder, version.version, config.models.max_megabytes)
    try:
        return _exported(config, version, kind, stored, ONNX, windows, data)
    except ModelNotConvertibleError:
        return None  # whoever serves it says so


def _exported(
    config: Settings,
    version: ModelVersion,
    kind: str,
    stored: ModelBytes,
    form: str,
    windows: TrainingWindows,
    data: str,
) -> Exported:
    pipeline, card = load_model(stored, kind, checked=True)
    content = to_onnx(pipeline, card, stored.content)
    if form == INT8:
        content = quantised(content)
    check_size(len(content), f"the export of version {version.version}", config.models.max_megabytes)
    row = _compared(pipeline, card, content, form, windows, data)
    lineage = {
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": {"sha256": sha256_of(stored.content)},
        "libraries": {name: version_of(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        **asdict(row),
    }
    file = FILES[form]
    text = json.dumps(lineage, indent=1, default=str) + "\n"
    keep(config, version, {file: content, f"{file}.lineage.json": text.encode()})
    with session(config) as connection:
        record_export(connection, version.name, version.version, row)
    return Exported(version.name, version.version, file, len(content) / 1e6, row)


def _compared(
    pipeline: Pipeline, card: Card, content: bytes, form: str, windows: TrainingWindows, data: str
) -> ModelExport:
    """The outcome of the comparison on these windows, of every second of which the frame is known."""
    inputs = inputs_of(card, windows)[:: max(1, len(windows) // _MOST_WINDOWS)]
    known = np.arange(len(inputs)) % 2 == 1
    answers = ask(pipeline, card, inputs, known)
    found = parity(answers, OnnxModel(content)(inputs, known), form)
    libraries = ", ".join(f"{name} {version_of(name)}" for name in _LIBRARIES)
    return ModelExport(
        form,
        sha256_of(content),
        libraries,
        data,
        found.windows,
        found.largest,
        found.mean,
        found.same_activity,
        found.failure,
    )


def compare_exports(
    config: Settings,
    kind: str,
    version: str,
    request: HeldOut | None = None,
    forms: Sequence[str] = (ONNX, INT8),
) -> list[Exported]:
    """Compare the exports of a version with its model file again, and mark those that fail.

    Raises NotFoundError where it has none, ModelError where a file is not the one that was exported.
    """
    request = request or HeldOut()
    found = get(config, model_name(config, kind), version)
    with session(config, read_only=True) as connection:
        known = exports_of(connection, found.name, found.version)
    if not known:
        raise NotFoundError(
            f"version {version} of {found.name} has no export; `activity models export {version}` makes one"
        )
    pipeline, card = load_model(checked(config, found).stored, kind, checked=True)
    windows = held_out(config, request)
    results = []
    for form in (one for one in forms if one in known):
        content = beside(config, found, FILES[form], known[form].sha256)
        row = _compared(pipeline, card, content, form, windows, public_name(request.data))
        with session(config) as connection:
            record_export(connection, found.name, found.version, row)
        results.append(Exported(found.name, found.version, FILES[form], len(content) / 1e6, row))
    return results
