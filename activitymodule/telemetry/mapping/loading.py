"""A mapping from its YAML, or one that is shipped from its name; errors name the key and the nearest one."""

from __future__ import annotations

import difflib
import types
import typing
from functools import cache
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from activitymodule.errors import ConfigError
from activitymodule.telemetry.mapping.model import Mapping

_SHIPPED = Path(__file__).parent / "shipped"


def shipped() -> dict[str, Path]:
    """The mappings that come with the project, by name."""
    return {file.stem: file for file in sorted(_SHIPPED.glob("*.yaml"))}


def load(name: str | Path) -> Mapping:
    """The mapping of a YAML file, or the shipped one of that name. Raises ConfigError."""
    path = Path(name).expanduser()
    if not path.is_file():
        known = shipped()
        if str(name) not in known:
            near = difflib.get_close_matches(str(name), known, 1, 0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"there is no mapping {name}; {hint}Give a YAML file or one of {', '.join(known)}, "
                "or let `activity prepare table PATH --guess` write one"
            )
        path = known[str(name)]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the mapping {path}: {error}") from error
    return parse(text, str(path))


@cache
def parse(text: str, where: str = "the mapping") -> Mapping:
    """A mapping from YAML (or JSON). Raises ConfigError, in one sentence, where it is wrong."""
    return parsed(Mapping, text, where, "docs/recordings.md")


M = TypeVar("M", bound=BaseModel)


def parsed(model: type[M], text: str, where: str, document: str) -> M:
    """A mapping of some kind from YAML (or JSON). Raises ConfigError, in one sentence, where it is wrong.

    document : where its keys are explained
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{where} must hold keys such as {', '.join(list(_keys(model))[:3])}; see {document}"
        )
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(error, model, document)}") from None


def _explain(error: ValidationError, model: type[BaseModel], document: str) -> str:
    errors = error.errors()
    # a key that is misspelt is also one that is missing: the unknown one says more
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    place = [part for part in first["loc"] if not str(part).startswith(("function-", "is-"))]
    key = ".".join(str(part) for part in place)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, 1, 0.5)
        elsewhere = [one for one in _all_keys(model) if one.rsplit(".", 1)[-1] == place[-1]]
        if elsewhere:
            return f"unknown key {key}; it belongs to {elsewhere[0]}"
        if near:
            return f"unknown key {key}; did you mean {near[0]}?"
        return f"unknown key {key}; here are {', '.join(known)}"
    if first["type"] == "missing":
        return f"{key} is missing; {document} has an example"
    given = first.get("input")
    shown = "" if isinstance(given, dict | BaseModel) else f" (given: {given!r:.100})"
    return f"{key or 'it'} {'is wrong: ' if key else ''}{message}{shown}"


def _models_of(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    found = []
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, dict, tuple, typing.Annotated):
        for part in typing.get_args(annotation):
            found += _models_of(part)
    return found


def _keys(model: type[BaseModel]) -> dict[str, object]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _keys_at(model: type[BaseModel], place: list[int | str]) -> list[str]:
    for part in place:
        annotation = _keys(model).get(str(part))
        if annotation is not None and (models := _models_of(annotation)):
            model = models[0]
    return list(_keys(model))


def _all_keys(model: type[BaseModel], path: str = "") -> list[str]:
    found = []
    for key, annotation in _keys(model).items():
        found.append(path + key)
        if key != "also":
            for one in _models_of(annotation):
                found += _all_keys(one, f"{path}{key}.")
    return found
