"""Settings as plain values, secrets in the open: for a process of ours, never for a screen or a log."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, SecretStr

from activitymodule.settings.sources import PREFIX, project_root
from activitymodule.settings.whole import Settings


def reveal(model: BaseModel) -> dict[str, Any]:
    """The tree of values from which `build` makes the same settings."""
    values: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            values[name] = reveal(value)
        elif isinstance(value, tuple) and any(isinstance(one, BaseModel) for one in value):
            values[name] = [reveal(one) for one in value]
        else:
            values[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
    return values


def environment_of(config: Settings) -> dict[str, str]:
    """Environment variables from which `load` makes the same settings."""
    variables = {f"{PREFIX}HOME": str(project_root())}
    for section, keys in reveal(config).items():
        for key, value in keys.items():
            # a secret is read as the text it is, all else as YAML, of which JSON is a part
            secret = key.endswith(("password", "secret"))
            if not (secret and value is None):
                variables[f"{PREFIX}{section}__{key}".upper()] = value if secret else json.dumps(value)
    return variables
