"""Where settings come from: config.yaml, overlay files, `.env`, environment variables and named secrets.

An environment variable `ACTIVITY_<SECTION>__<KEY>` sets one key. A key that does not exist is an error that
names the nearest one that does. A password or secret may be given by its name in Google's Secret Manager
(`gcp-secret:projects/P/secrets/S`): it is fetched when the settings are loaded.
"""

from __future__ import annotations

import difflib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from activitymodule.errors import ConfigError
from activitymodule.settings.secret_manager import NAMED_SECRET, fetch_secret
from activitymodule.settings.whole import Settings

Tree = dict[str, Any]
"""Keys and values as YAML gives them, before they are validated."""

PREFIX = "ACTIVITY_"
# Variables of ours that are no settings.
NOT_SETTINGS = {"ACTIVITY_CONFIG", "ACTIVITY_DEBUG", "ACTIVITY_HOME"}
_SECRET_KEYS = ("password", "secret")


def project_root() -> Path:
    """The folder of config.yaml and of relative paths.

    ACTIVITY_HOME; else the checkout this package stands in; else, for an installed wheel, the current folder.
    """
    if home := os.environ.get("ACTIVITY_HOME"):
        return Path(home).resolve()
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def resource(path: str) -> Path:
    """A file or folder that comes with the code, such as `sql/migrations`: the project's, else the wheel's."""
    of_project = project_root() / path
    return of_project if of_project.exists() else Path(__file__).resolve().parents[1] / "resources" / path


def resolve(path: str) -> Path:
    """A local path of the settings as an absolute one (relative ones start at the project's root).

    Raises ConfigError for an address: who calls this can only use a folder or file of this machine.
    """
    if "://" in path:
        raise ConfigError(
            f"{path} is an address, and this needs a folder or file of this machine; copy what is there "
            "(`aws s3 sync`, `gcloud storage rsync`) and name the copy"
        )
    return (project_root() / Path(path).expanduser()).resolve()


def location(path: str) -> str:
    """A path of the settings that may also be an address (s3://, gs://): addresses pass unchanged."""
    return path if "://" in path else str(resolve(path))


def _yaml(name: str, text: str) -> Any:
    """The content of a text of YAML. Raises ConfigError, which names the text and the line."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "not readable"
        raise ConfigError(f"{name}{line} is not valid YAML: {problem}") from error
    except (ValueError, RecursionError) as error:
        # a number of thousands of digits, a date that is none, a depth of thousands
        raise ConfigError(f"{name} holds a value that cannot be read: {error}") from None


def _read_yaml(path: Path) -> Tree:
    try:
        content = _yaml(str(path), path.read_text(encoding="utf-8-sig")) or {}
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold sections of keys, such as `kafka:`")
    return content


def _merge(base: Tree, over: Tree) -> Tree:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def read_env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines of a `.env` file; comments and blank lines are passed over; {} without a file."""
    values: dict[str, str] = {}
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from None
        for line in text.splitlines():
            name, sign, value = line.strip().partition("=")
            if sign and not name.startswith("#"):
                values[name.strip()] = value.strip().strip("'\"")
    return values


def _from_environment(environ: dict[str, str]) -> Tree:
    tree: Tree = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        keys = name[len(PREFIX) :].lower().split("__")
        if len(keys) < 2:
            raise ConfigError(
                f"the environment variable {name} is no setting; write {PREFIX}SECTION__KEY, "
                f"such as {PREFIX}KAFKA__TOPIC"
            )
        node = tree
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{name} sets a part of a setting that another variable sets as a whole")
        if value != value.encode(errors="replace").decode():
            raise ConfigError(f"the environment variable {name} is not UTF-8 text")
        # numbers, booleans and null as in YAML; secrets stay the text they are
        node[keys[-1]] = (
            value
            if keys[-1].endswith(_SECRET_KEYS) or not value
            else _yaml(f"the environment variable {name}", value)
        )
    return tree


def _known_keys(model: type[BaseModel], path: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    known: dict[str, tuple[str, ...]] = {}
    for name, info in model.model_fields.items():
        known[".".join((*path, name))] = (*path, name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            known |= _known_keys(info.annotation, (*path, name))
    return known


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys(Settings)
        last = key.rsplit(".", 1)[-1]
        near = difflib.get_close_matches(key, known, 1, 0.6) or [
            full for full in known if difflib.get_close_matches(last, [full.rsplit(".", 1)[-1]], 1, 0.7)
        ]
        hint = f"; did you mean {near[0]}?" if near else "; config.yaml lists all keys"
        return f"unknown setting {key}{hint}"
    given = repr(first.get("input"))
    message = first["msg"].removeprefix("Value error, ")
    return f"the setting {key or 'file'} is wrong: {message} (given: {given[:200]})"


def build(config: Tree) -> Settings:
    """Settings from a tree of keys; raises ConfigError with one sentence where a key is unknown or wrong."""
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def layers(environ: dict[str, str] | None = None) -> list[tuple[str, Tree]]:
    """Where values come from, (name, tree of keys), later ones over earlier ones: config.yaml, the files of
    ACTIVITY_CONFIG (a,b), .env, the environment."""
    root = project_root()
    environ = dict(os.environ) if environ is None else environ
    env_file = read_env_file(root / ".env")
    base = root / "config.yaml"
    found = [("config.yaml", _read_yaml(base) if base.is_file() else {})]
    overlays = environ.get("ACTIVITY_CONFIG", env_file.get("ACTIVITY_CONFIG", ""))
    for name in filter(None, (n.strip() for n in overlays.split(","))):
        found.append((name, _read_yaml(resolve(name))))
    return [*found, (".env", _from_environment(env_file)), ("environment", _from_environment(environ))]


def _with_secrets(tree: Tree) -> Tree:
    """The tree with secrets fetched that stand in it as the name of one (`gcp-secret:projects/P/secrets/S`)."""
    filled = dict(tree)
    for key, value in tree.items():
        if isinstance(value, dict):
            filled[key] = _with_secrets(value)
        elif isinstance(value, str) and key.endswith(_SECRET_KEYS) and value.startswith(NAMED_SECRET):
            filled[key] = fetch_secret(value.removeprefix(NAMED_SECRET))
    return filled


def load(environ: dict[str, str] | None = None) -> Settings:
    """Settings in force: the layers, one over the other, validated."""
    tree: Tree = {}
    for _, layer in layers(environ):
        tree = _merge(tree, layer)
    return build(_with_secrets(tree))


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return load()
