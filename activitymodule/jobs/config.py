"""`activity config`: show the configuration in force and the origin of each value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import typer
from pydantic import BaseModel, SecretStr
from rich.text import Text

from activitymodule.errors import ConfigError
from activitymodule.jobs import options, output
from activitymodule.settings import Settings, layers, load

SECTION = "Store and settings"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_UNCHANGED = ("default", "config.yaml")


@dataclass(frozen=True)
class Value:
    """One setting in force. `origin`: default, a file's name, .env or environment."""

    key: str
    value: Any
    origin: str


def _flat(model: BaseModel, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            found += _flat(value, (*path, name))
        else:
            found.append(((*path, name), value))
    return found


def _holds(tree: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def values(config: Settings, sources: list[tuple[str, dict[str, Any]]]) -> list[Value]:
    """Every setting with its origin. Secrets, and options that may hold some, are hidden."""
    found = []
    for path, value in _flat(config):
        origin = next((name for name, tree in reversed(sources) if _holds(tree, path)), "default")
        shown = "(set)" if isinstance(value, SecretStr) else value
        if isinstance(value, dict):
            shown = {key: "(set)" if _secret(key, text) else text for key, text in value.items()}
        if isinstance(value, tuple):
            shown = [
                one.model_dump(exclude_defaults=True) if isinstance(one, BaseModel) else one for one in value
            ]
        found.append(Value(".".join(path), shown, origin))
    return found


def _secret(key: str, text: Any) -> bool:
    words = ("password", "secret", "jaas", "token", "credential", "access.key", "private")
    return any(word in key.lower() or f"{word}=" in str(text).lower() for word in words)


@app.command(epilog="Example: activity config --json")
def config(
    section: str = typer.Argument("", help="Only this section, such as kafka."),
    changed: bool = typer.Option(False, "--changed", help="Only what differs from config.yaml."),
    as_json: bool = options.JSON,
) -> None:
    """Show the configuration in force and the origin of each value. Secrets are hidden."""
    chosen = values(load(), layers())
    if section:
        if section not in Settings.model_fields:
            raise ConfigError(
                f"there is no section {section!r}; the sections are {', '.join(Settings.model_fields)}"
            )
        chosen = [value for value in chosen if value.key.startswith(f"{section}.")]
    if changed:
        chosen = [value for value in chosen if value.origin not in _UNCHANGED]
    if as_json:
        output.print_json(chosen)
        return
    output.print_table(
        ("setting", "value", "origin"),
        [
            [
                Text(text, "dim" if value.origin in _UNCHANGED else "")
                for text in (value.key, "" if value.value is None else str(value.value), value.origin)
            ]
            for value in chosen
        ],
    )
