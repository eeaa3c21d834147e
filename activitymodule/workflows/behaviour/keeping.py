"""A trained model on days as a folder of files, and as a version of the registry."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import TypeAdapter
from sklearn.pipeline import Pipeline

from activitymodule.files import folder_beside
from activitymodule.models.export import Card, ScoredWindows, libraries, write_folder
from activitymodule.models.kinds import DAYS_VERSION, KINDS
from activitymodule.registry.lineage import write_lineage
from activitymodule.registry.versions import champion
from activitymodule.serving.record import serving_version
from activitymodule.settings import Settings
from activitymodule.workflows.behaviour.requests import DayTrainingRequest
from activitymodule.workflows.promotion import model_name, trained_by
from activitymodule.workflows.registering import register_folder

_SCORED = 8  # rows on a card
R = TypeVar("R")


@dataclass(frozen=True)
class Made:
    """A trained model. X : its inputs (n, n_columns), NaN where missing; y : what it learnt, (n,) or empty; headline :
    figures to compare versions by; report : all of them; draw : writes pictures and further files into the folder"""

    kind: str
    pipeline: Pipeline
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    X: np.ndarray
    y: np.ndarray
    people: int
    source: str
    synthetic: bool
    headline: Mapping[str, float]
    report: object
    draw: Callable[[Path], None]
    parents: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Kept:
    """Where a model went: name and version of the registry, or a folder; None where it was only evaluated."""

    kind: str
    version: str | None = None
    champion: bool = False
    folder: str | None = None


def reachable(config: Settings, request: DayTrainingRequest, kinds: tuple[str, ...]) -> None:
    """Raises ServiceUnavailableError where versions are to be registered and the registry does not answer."""
    if not request.evaluate_only and request.folder is None:
        for kind in kinds:
            champion(config, model_name(config, kind))


def keep(config: Settings, request: DayTrainingRequest, made: Made, *, best: bool = True) -> Kept:
    """Write or register a model as the request says.

    best : whether it may become champion: of two families of one model only the better one does
    """
    if request.evaluate_only:
        return Kept(made.kind)
    family = type(made.pipeline["model"]).__name__
    if request.folder is not None:
        folder = request.folder / made.kind / family
        with folder_beside(folder) as part:
            _write(config, request, made, part)
        return Kept(made.kind, folder=str(folder))
    serves = serving_version(config, model_name(config, made.kind)) is not None
    with tempfile.TemporaryDirectory(prefix="activity-model-") as temporary:
        _write(config, request, made, Path(temporary))
        version = register_folder(
            config,
            made.kind,
            Path(temporary),
            named(made.headline, made.synthetic),
            parameters={"data": made.source, "seed": request.seed, "rows": len(made.X), "family": family},
            tags={"data": _data(made), "family": family},
            promote=request.promote and best,
            serves=serves or not best,
            verb=trained_by(made.kind),
        )
    return Kept(made.kind, version.version, best and (request.promote or not serves))


def named(headline: Mapping[str, float], synthetic: bool) -> dict[str, float]:
    """Figures by name; those of synthesised people say so."""
    return {f"synthetic_{name}" if synthetic else name: value for name, value in headline.items()}


def as_json(report: object) -> dict[str, object]:
    """A report as JSON has it, null for NaN."""
    found = json.loads(TypeAdapter(type(report)).dump_json(report))
    assert isinstance(found, dict)
    return found


def _data(made: Made) -> str:
    return f"{made.source}, synthetic" if made.synthetic else made.source


def _write(config: Settings, request: DayTrainingRequest, made: Made, folder: Path) -> None:
    rows = np.unique(np.linspace(0, len(made.X) - 1, _SCORED).astype(int))
    inputs = made.X[rows]
    if KINDS[made.kind].answers == "probabilities":
        # a classifier is asked in float32, and must answer what stands on its card
        inputs = inputs.astype(np.float32).astype(np.float64)
    card = Card(
        made.kind,
        made.labels,
        made.columns,
        DAYS_VERSION,
        libraries=libraries(),
        scored=ScoredWindows.of(inputs, _answers(made, inputs)),
    )
    sha256 = write_folder(
        folder,
        made.pipeline,
        card,
        {**named(made.headline, made.synthetic), "synthetic": made.synthetic, "report": as_json(made.report)},
        config.models,
    )
    write_lineage(
        folder,
        data={
            "source": _data(made),
            "sha256": _sha256(made),
            "rows": len(made.X),
            "people": made.people,
        },
        config={"seed": request.seed, "parameters": _parameters(made.pipeline)},
        model_sha256=sha256,
        parents=made.parents,
    )
    made.draw(folder)


def _answers(made: Made, inputs: np.ndarray) -> np.ndarray:
    match KINDS[made.kind].answers:
        case "probabilities":
            return np.asarray(made.pipeline.predict_proba(inputs))
        case "distances":
            return np.asarray(made.pipeline.transform(inputs))
    return np.asarray(made.pipeline.predict(inputs))


def _parameters(pipeline: Pipeline) -> dict[str, object]:
    found = pipeline["model"].get_params()
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in found.items()}


def _sha256(made: Made) -> str:
    digest = hashlib.sha256("\0".join(made.columns).encode())
    for values in (made.X, made.y):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
