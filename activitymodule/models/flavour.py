"""The files that make a version's folder a model of MLflow: `mlflow.pyfunc.load_model` loads it by models/pyfunc.

They are plain text and hold no model: what is loaded is the skops file, whose types are checked as ever. The format is
that of MLflow's MLmodel file (https://mlflow.org/docs/latest/ml/model/): signature, input example, requirements. They
hold no time and no random name, so that the same training gives the same files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import yaml

from activitymodule import __version__
from activitymodule.models.kinds import KINDS
from activitymodule.telemetry.schema import FIELDS
from activitymodule.windows.catalogue import FEATURES

if TYPE_CHECKING:  # export writes these files
    from activitymodule.models.export import Card

MLMODEL_FILE = "MLmodel"
EXAMPLE_FILE = "input_example.json"
REQUIREMENTS_FILE, ENVIRONMENT_FILE = "requirements.txt", "python_env.yaml"
PROBABILITY = "probability_"
"""Begins the name of the output column with the probability of a label."""

_WINDOW = (
    ("device_id", "string"),
    ("window_start", "datetime"),
    ("coverage", "double"),
    ("reason", "string"),
)
_STRINGS = {"type": "array", "items": {"type": "string"}}
_SHOWN = 3  # windows of the example


def flavour_files(card: Card) -> dict[str, str]:
    """Name -> text of the files; none of a model on daily records."""
    if not KINDS[card.kind].of_windows:
        return {}
    python = (card.libraries or {}).get("python", "3.11")
    model: dict[str, object] = {
        "flavors": {
            "python_function": {
                "loader_module": "activitymodule.models.pyfunc",
                "data": ".",
                "env": {"virtualenv": ENVIRONMENT_FILE},
                "python_version": python,
            }
        },
        "metadata": {
            "features_version": card.features_version,
            "window_seconds": card.length_seconds,
            "rate_hz": card.rate_hz,
            "units": units(card.feature_names),
        },
        "signature": {
            "inputs": json.dumps(_inputs(card)),
            "outputs": json.dumps(_outputs(card)),
            "params": None,
        },
    }
    files = {
        REQUIREMENTS_FILE: "".join(f"{line}\n" for line in _requirements(card)),
        ENVIRONMENT_FILE: yaml.safe_dump(
            {"python": python, "build_dependencies": ["pip"], "dependencies": [f"-r {REQUIREMENTS_FILE}"]}
        ),
    }
    if card.scored is not None and card.scored.inputs:
        rows = [list(row) for row in card.scored.inputs[:_SHOWN]]
        files[EXAMPLE_FILE] = json.dumps({"columns": list(card.feature_names), "data": rows}) + "\n"
        model["saved_input_example_info"] = {
            "artifact_path": EXAMPLE_FILE,
            "type": "dataframe",
            "pandas_orient": "split",
        }
    return files | {MLMODEL_FILE: yaml.safe_dump(model, sort_keys=False)}


def units(names: Iterable[str]) -> dict[str, str]:
    """Feature -> its unit as this code computes it, of those of the catalogue that have one."""
    known = {feature.name: feature.unit for feature in FEATURES}
    return {name: known[name] for name in names if known.get(name)}


def _column(name: str, kind: object, *, required: bool = True) -> dict[str, object]:
    given = kind if isinstance(kind, dict) else {"type": kind}
    return {**given, "name": name, "required": required}


def _inputs(card: Card) -> list[dict[str, object]]:
    """Features are required by who has no readings, so each column is optional to MLflow; models/pyfunc checks them.

    A channel may be a whole number in a frame, and a stamp text, a number or a time, which MLflow would refuse in a
    column of floats: `any` lets them through.
    """
    readings = [
        _column(field.name, "string" if field.kind == "string" else "any", required=False)
        for field in FIELDS
        if card.kind == "activity"
    ]
    return [*readings, *(_column(name, "double", required=False) for name in card.feature_names)]


def _outputs(card: Card) -> list[dict[str, object]]:
    if card.kind == "energy":
        return [_column("kcal_per_min", "double")]
    return [
        *(_column(name, kind, required=False) for name, kind in _WINDOW),
        _column("activity", "string"),
        _column("confidence", "double"),
        _column("familiarity", "double"),
        _column("conformal_set", _STRINGS),
        *(_column(f"{PROBABILITY}{label}", "double") for label in card.labels),
    ]


def _requirements(card: Card) -> list[str]:
    own = f"activitymodule=={__version__}"
    return [
        own,
        *(f"{name}=={number}" for name, number in (card.libraries or {}).items() if name != "python"),
    ]
