"""Which export of a version may serve: the one that the store names, whose answers were compared with the model's."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from activitymodule.errors import ModelError
from activitymodule.models.bundle import ModelBytes
from activitymodule.models.onnx.parity import FILES, ONNX
from activitymodule.models.onnx.session import available
from activitymodule.registry.versions import ModelVersion, beside
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, session
from activitymodule.store.model_exports import exports_of
from activitymodule.store.promotions import Promoted

OF_WINDOWS = ("activity", "energy")


def with_export(
    config: Settings, version: ModelVersion, kind: str, stored: ModelBytes
) -> tuple[ModelBytes, str | None]:
    """The model with its export where `scoring.engine` is onnx, and otherwise the reason why scikit-learn scores.

    An export serves where its file is the one that passed the comparison. Raises ServiceUnavailableError.
    """
    if config.scoring.engine != ONNX or kind not in OF_WINDOWS:
        return stored, None
    option = "" if kind == "activity" else f" --kind {kind}"
    again = f"`activity models export {version.version}{option}`"
    with session(config, read_only=True) as connection:
        export = exports_of(connection, version.name, version.version).get(ONNX)
    if not available():
        why = "the package onnxruntime is not installed"
    elif export is None:
        why = f"it has no export to ONNX, which {again} makes"
    elif export.failure:
        why = f"its export to ONNX failed the comparison ({export.failure})"
    else:
        try:
            content = beside(config, version, FILES[ONNX], export.sha256)
        except ModelError as error:
            why = f"{error}; {again} makes it anew"
        else:
            return replace(stored, onnx=content), None
    return stored, f"scikit-learn scores it, since {why}"


def serving_export(connection: Connection, config: Settings, one: Promoted | None) -> str | None:
    """The SHA-256 of the export that should serve of a version, None where scikit-learn should."""
    if one is None or config.scoring.engine != ONNX or not available():
        return None
    export = exports_of(connection, one.name, one.version).get(ONNX)
    return None if export is None or export.failure else export.sha256


def sha256_of(content: bytes) -> str:
    """Of a file's content, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
