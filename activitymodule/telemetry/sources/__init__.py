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
from collections.abc import Iterator

from activitymodule.errors import ConfigError
from activitymodule.telemetry import mapping
from activitymodule.telemetry.sources.base import SOURCES, Chunk, Ledger, Source, Unit, register
from activitymodule.telemetry.sources.tables.source import TableSource


def discover() -> None:
    """Import every module of this package, so that its sources register themselves."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def is_source(name: str) -> bool:
    """Whether a name is that of a source, of a mapping that is shipped, or of a file that holds a mapping."""
    return name in SOURCES or name in mapping.shipped() or name.endswith((".yaml", ".yml"))


def source_named(name: str) -> Source:
    """The source of that name: registered, or by a mapping, which is shipped or a YAML file.

    Raises ConfigError, which suggests the nearest name and lists all.
    """
    if name in SOURCES:
        return SOURCES[name]
    if is_source(name):
        return TableSource(mapping.load(name))
    known = [*SOURCES, *mapping.shipped()]
    near = difflib.get_close_matches(name.lower(), known, 1, 0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ConfigError(
        f"there is no source {name!r}; {hint}The sources are {', '.join(SOURCES)}, "
        f"the mappings {', '.join(mapping.shipped())}"
    )


def read(unit: Unit) -> Iterator[Chunk]:
    """The readings of a unit, by the source that found it."""
    source = SOURCES[unit.source] if unit.mapping is None else TableSource.of(unit)
    return source.read(unit)


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
    "is_source",
    "read",
    "register",
    "source_named",
    "sources_text",
]
