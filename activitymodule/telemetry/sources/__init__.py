"""Sources: each turns recordings of its own format into canonical readings, a chunk at a time.

A source is one module of this package: a class with `@register`, whose docstring is its section of
docs/telemetry.md. It scans a path for units (files, or members of an archive), which may be read in any order
and on any machine, and reads a unit as a stream of chunks, never whole.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil

from activitymodule.errors import ConfigError
from activitymodule.telemetry.sources.base import SOURCES, Chunk, Ledger, Source, Unit, register


def discover() -> None:
    """Import every module of this package, so that its sources register themselves."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def source_named(name: str) -> Source:
    """The source of that name; ConfigError suggests the nearest one and lists all."""
    if name in SOURCES:
        return SOURCES[name]
    near = difflib.get_close_matches(name.lower(), SOURCES, 1, 0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ConfigError(f"there is no source {name!r}; {hint}The sources are {', '.join(SOURCES)}")


def sources_text() -> str:
    """A section for each source, for docs/telemetry.md: its name and the docstring of its class."""
    return "\n".join(f"### `{name}`\n\n{inspect.getdoc(source)}\n" for name, source in SOURCES.items())


discover()

__all__ = [
    "SOURCES",
    "Chunk",
    "Ledger",
    "Source",
    "Unit",
    "discover",
    "register",
    "source_named",
    "sources_text",
]
