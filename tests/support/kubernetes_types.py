"""Whether a manifest is one of the Kubernetes API: checked against its own types, unknown keys refused."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
import types
from functools import lru_cache
from typing import Union, get_args, get_origin, get_type_hints

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kMGTPE]i?)?")

# The package has the types alone and leaves to a client how they are made: here plain dataclasses.
_made = types.ModuleType("lightkube.core.schema")
vars(_made).update(dataclass=dataclasses.dataclass, field=dataclasses.field, DictMixin=object)
sys.modules.setdefault("lightkube.core", types.ModuleType("lightkube.core"))
sys.modules.setdefault(_made.__name__, _made)


def faults(manifest: dict[str, object]) -> list[str]:
    """What the API's type does not allow: keys that are unknown or missing, values of another type."""
    group, _, version = str(manifest["apiVersion"]).rpartition("/")
    module = importlib.import_module(f"lightkube.models.{group.split('.')[0] or 'core'}_{version}")
    return _faults(manifest, getattr(module, str(manifest["kind"])), str(manifest["kind"]))


def _faults(value: object, kind: object, where: str) -> list[str]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Union:
        return min((_faults(value, one, where) for one in arguments if one is not type(None)), key=len)
    if origin is list and isinstance(value, list):
        items = {f"{where}[{number}]": item for number, item in enumerate(value)}
        return [fault for place, item in items.items() for fault in _faults(item, arguments[0], place)]
    if origin is dict and isinstance(value, dict):
        return [
            fault for key, item in value.items() for fault in _faults(item, arguments[1], f"{where}.{key}")
        ]
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _faults_of_object(value, kind, where)
    # True is an int to Python, and to nobody else
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return []
    return [f"{where} is no {kind}: {value!r}"]


@lru_cache
def _hints(kind: type) -> dict[str, object]:
    return get_type_hints(kind)


def _faults_of_object(value: dict[str, object], kind: type, where: str) -> list[str]:
    hints = _hints(kind)
    fields = {one.metadata.get("json", one.name): one for one in dataclasses.fields(kind)}
    found = [f"{where} has no key {key}" for key in value if key not in fields]
    for key, one in fields.items():
        if key in value:
            found += _faults(value[key], hints[one.name], f"{where}.{key}")
        elif one.default is dataclasses.MISSING:
            found.append(f"{where} lacks {key}")
    if kind.__name__.endswith("ResourceRequirements"):
        for amounts in value.values():
            assert isinstance(amounts, dict)
            found += [
                f"{where}: no quantity: {v}" for v in amounts.values() if not _QUANTITY.fullmatch(str(v))
            ]
    return found
