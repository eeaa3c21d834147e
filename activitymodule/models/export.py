"""A model as a folder of files: model.skops, model.json beside it (its card), metrics.json and figures.

skops, not pickle: a file from a registry must not be able to run code. Only the types of the model families
(models/families) and of the steps around them are created; a file that holds another is rejected before it is loaded.
What is in such a file can still end the process that uses it, so one that this process did not make is first loaded
and tried in another (models/trial).
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from sklearn.pipeline import Pipeline

from activitymodule.errors import ModelError, ModelNotTrustedError, ModelTooLargeError
from activitymodule.models.canonical import canonical
from activitymodule.models.contract import trusted_types
from activitymodule.models.families import CLASSIFIERS, REGRESSORS
from activitymodule.models.flavour import flavour_files
from activitymodule.models.kinds import DAY_TYPES
from activitymodule.models.recalibration import Recalibration
from activitymodule.models.skops_io import dumps, get_untrusted_types, loads
from activitymodule.settings import Models

MODEL_FILE = "model.skops"
CARD_FILE = "model.json"
METRICS_FILE = "metrics.json"
LINEAGE_FILE = "lineage.json"


_LIBRARIES = ("lightgbm", "numpy", "scikit-learn", "skops")
_UNPACKED = 20  # how many times its size a file may have unpacked, at the most
_UNPACKED_BYTES = 20_000_000  # what is smaller may unpack to more
_SCHEMA = "schema.json"
# of skops: what describes the parts of a model; functions, methods, operators and sklearn's trees are not among them
_PARTS = {
    *("DTypeNode", "DictNode", "JsonNode", "ListNode", "NdArrayNode", "ObjectNode", "SliceNode", "TupleNode"),
    *("TypeNode",),
}
_OBJECTS = {
    "sklearn.compose._column_transformer.ColumnTransformer",
    "sklearn.impute._base.MissingIndicator",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._function_transformer.FunctionTransformer",
}


@dataclass(frozen=True)
class ScoredWindows:
    """A few windows and what the model said of them when it was trained; wherever it is loaded, it must say so again.

    inputs : a row of the model's inputs each, None where missing; outputs : probabilities of the labels, or kcal/min
    """

    inputs: tuple[tuple[float | None, ...], ...]
    outputs: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, inputs: np.ndarray, outputs: np.ndarray) -> ScoredWindows:
        """From arrays (n, n_inputs) and (n, n_labels) or (n,)."""
        rows = [[None if np.isnan(value) else float(value) for value in row] for row in inputs]
        outputs = np.asarray(outputs, float).reshape(len(inputs), -1)
        return cls(tuple(map(tuple, rows)), tuple(map(tuple, outputs.tolist())))


@dataclass(frozen=True)
class Card:
    """The inputs and outputs of a model.

    kind : of models/kinds; labels : the classes in the order of the answers, or the
    regressor's activity codes; feature_names : of the columns it takes, in its order; length_seconds, rate_hz : of
    its windows, None of a model on daily records; conformal_quantile:
    the greatest score 1 - p of a label in a conformal set (classifier only); conformal_quantile_wide : the same for
    what is unfamiliar (models/familiarity); libraries : name -> version, of those it was trained with; scored : a few
    windows and its answers; device_models : name -> windows of the training (copies do not count), of watches whose
    model was known; calibrations : by device model, from labels of its watches (models/recalibration). Cards of
    earlier versions have none of the last five.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: str
    labels: tuple[str, ...]
    feature_names: tuple[str, ...]
    features_version: str
    length_seconds: int | None = None
    rate_hz: int | None = None
    conformal_alpha: float | None = None
    conformal_quantile: float | None = None
    conformal_quantile_wide: float | None = None
    libraries: Mapping[str, str] | None = None
    scored: ScoredWindows | None = None
    device_models: Mapping[str, int] = field(default_factory=dict)
    calibrations: Mapping[str, Recalibration] = field(default_factory=dict)

    def to_json(self) -> str:
        """The card as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Raises ModelError where it is not a card."""
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ModelError(
                f"{CARD_FILE} of the model cannot be used ({where} {first['msg']}); train it again"
            ) from None


def libraries() -> dict[str, str]:
    """The versions on which it depends how a model file is loaded and what the model predicts."""
    return {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()}


def trusted() -> list[str]:
    """Types beyond those skops trusts by itself (most of numpy's) that a model file may hold."""
    families = (*CLASSIFIERS.values(), *REGRESSORS.values())
    # numpy.dtype: the imputer keeps that of its data
    own = (name for family in families for name in trusted_types(family))
    return ["numpy.dtype", *sorted(_OBJECTS), *own, *DAY_TYPES]


def dump(pipeline: Pipeline) -> bytes:
    """A fitted pipeline as the bytes of a skops file: the same numbers give the same bytes."""
    return canonical(dumps(pipeline))


def load(content: bytes, what: str) -> Pipeline:
    """A pipeline from the bytes of a skops file. Raises ModelError where it cannot or must not be loaded."""
    try:
        known = trusted()
        unknown = [t for t in get_untrusted_types(data=_unpacked(content)) if t not in known]
        unknown += sorted(set(_types(content)) - set(known))
        if unknown:
            raise ModelNotTrustedError(
                f"{what} holds the type {unknown[0]}, which is not trusted; train it again"
            )
        model = loads(content, trusted=known)
    except ModelError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{what} cannot be loaded ({reason}); train it again or roll back") from None
    if not isinstance(model, Pipeline):
        raise ModelError(f"{what} holds a {type(model).__name__} and no Pipeline; train it again")
    return model


def _unpacked(content: bytes) -> bytes:
    """The content, where its members are those of skops and of a reasonable size, and each has its checksum. Raises
    ValueError."""
    most = max(_UNPACKED_BYTES, _UNPACKED * len(content))
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        names = [entry.filename for entry in file.infolist()]
        strange = [name for name in names if name != _SCHEMA and not name.endswith(".npy")]
        if strange or len(set(names)) != len(names):
            raise ValueError(f"it holds {strange[0][:40] if strange else 'a file twice'}")
        if sum(entry.file_size for entry in file.infolist()) > most:
            raise ValueError(f"unpacked it would have more than {most / 1e6:.0f} MB")
        if broken := file.testzip():
            raise ValueError(f"the checksum of {broken[:40]} is wrong")
    return content


def _types(content: bytes) -> Iterator[str]:
    """The types of objects in the file, and what skops would not make an object of, by the name of its part."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        waiting: list[Any] = [json.loads(file.read(_SCHEMA))]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            part = found.get("__loader__")
            if part == "ObjectNode":
                yield f"{found.get('__module__')}.{found.get('__class__')}"
            elif part is not None and part not in _PARTS:
                yield f"{found.get('__module__')}.{found.get('__class__')} ({part})"
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def check(model: Pipeline) -> None:
    """Raises ModelError or ValueError where a number of a loaded model is not finite or a step refuses itself: before
    it is asked for the first answer."""
    waiting: list[object] = [step for _, step in model.steps]
    for _, step in model.steps:
        if (own := getattr(step, "check", None)) is not None:
            own()
    while waiting:
        found = waiting.pop()
        if isinstance(found, np.ndarray):
            if found.dtype.kind == "f" and not np.isfinite(found).all():
                raise ValueError("it holds numbers that are not finite")
        elif isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, (list, tuple)):
            waiting += found
        elif hasattr(found, "get_params") and not isinstance(found, type):
            waiting.append(vars(found))


def write_folder(
    folder: Path,
    pipeline: Pipeline,
    card: Card,
    metrics: dict[str, object],
    limits: Models,
) -> str:
    """Write model, card, metrics and MLflow's description into an existing folder; returns the model file's SHA-256.

    Raises ModelError where the model is larger than `models.max_megabytes`.
    """
    content = dump(pipeline)
    check_size(len(content), f"the {card.kind} model", limits.max_megabytes)
    (folder / MODEL_FILE).write_bytes(content)
    (folder / CARD_FILE).write_text(card.to_json() + "\n", encoding="utf-8")
    (folder / METRICS_FILE).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    for name, text in flavour_files(card).items():
        (folder / name).write_text(text, encoding="utf-8")
    return hashlib.sha256(content).hexdigest()


def check_size(size: int, what: str, max_megabytes: float) -> None:
    """Raises ModelError for a model of more than max_megabytes (10^6 bytes each)."""
    if size > max_megabytes * 1e6:
        raise ModelTooLargeError(
            f"{what} has {size / 1e6:.1f} MB, more than models.max_megabytes ({max_megabytes:g}); "
            "make it smaller or raise the limit"
        )
