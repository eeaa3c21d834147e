"""A model as a folder of files: model.skops, model.json beside it (its card), metrics.json and figures.

skops, not pickle: a file from a registry must not be able to run code. Only the types of the model families
(models/families) are created; a file that holds another is rejected.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import skops.io
from sklearn.pipeline import Pipeline

from activitymodule.errors import ModelError, ModelNotTrustedError, ModelTooLargeError
from activitymodule.models.contract import trusted_types
from activitymodule.models.families import CLASSIFIERS, REGRESSORS
from activitymodule.settings import Models

MODEL_FILE = "model.skops"
CARD_FILE = "model.json"
METRICS_FILE = "metrics.json"
LINEAGE_FILE = "lineage.json"


@dataclass(frozen=True)
class Card:
    """The inputs and outputs of a model.

    kind : 'activity' or 'energy'; labels : the classifier's classes in the order of its probabilities, or the
    regressor's activity codes; feature_names : of the window features it takes, in its order; conformal_quantile:
    the greatest score 1 - p of a label in a conformal set (classifier only).
    """

    kind: str
    labels: tuple[str, ...]
    feature_names: tuple[str, ...]
    features_version: str
    length_seconds: int
    rate_hz: int
    conformal_alpha: float | None = None
    conformal_quantile: float | None = None

    def to_json(self) -> str:
        """The card as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Raises ModelError where it is not a card."""
        try:
            values = json.loads(text)
            for name in ("labels", "feature_names"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{CARD_FILE} of the model cannot be used ({error}); train it again") from None


def trusted() -> list[str]:
    """Types beyond those skops trusts by itself (sklearn's and most of numpy's) that a model file may hold."""
    families = (*CLASSIFIERS.values(), *REGRESSORS.values())
    # numpy.dtype: the imputer keeps that of its data
    return ["numpy.dtype", *(name for family in families for name in trusted_types(family))]


def dump(pipeline: Pipeline) -> bytes:
    """A fitted pipeline as the bytes of a skops file. The bytes differ from call to call: skops names members by id."""
    return skops.io.dumps(pipeline, compression=zipfile.ZIP_DEFLATED, compresslevel=6)


def load(content: bytes, what: str) -> Pipeline:
    """A pipeline from the bytes of a skops file. Raises ModelError where it cannot or must not be loaded."""
    try:
        known = trusted()
        unknown = [t for t in skops.io.get_untrusted_types(data=content) if t not in known]
        if unknown:
            raise ModelNotTrustedError(
                f"{what} holds the type {unknown[0]}, which is not trusted; train it again"
            )
        model = skops.io.loads(content, trusted=known)
    except ModelError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{what} cannot be loaded ({reason}); train it again or roll back") from None
    if not isinstance(model, Pipeline):
        raise ModelError(f"{what} holds a {type(model).__name__} and no Pipeline; train it again")
    return model


def write_folder(
    folder: Path,
    pipeline: Pipeline,
    card: Card,
    metrics: dict[str, object],
    limits: Models,
) -> str:
    """Write model, card and metrics into an existing folder; returns the SHA-256 of the model file.

    Raises ModelError where the model is larger than `models.max_megabytes`.
    """
    content = dump(pipeline)
    check_size(len(content), f"the {card.kind} model", limits.max_megabytes)
    (folder / MODEL_FILE).write_bytes(content)
    (folder / CARD_FILE).write_text(card.to_json() + "\n", encoding="utf-8")
    (folder / METRICS_FILE).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    return hashlib.sha256(content).hexdigest()


def check_size(size: int, what: str, max_megabytes: float) -> None:
    """Raises ModelError for a model of more than max_megabytes (10^6 bytes each)."""
    if size > max_megabytes * 1e6:
        raise ModelTooLargeError(
            f"{what} has {size / 1e6:.1f} MB, more than models.max_megabytes ({max_megabytes:g}); "
            "make it smaller or raise the limit"
        )
