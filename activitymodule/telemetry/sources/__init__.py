"""Sources: each turns recordings of its own format into canonical readings, a chunk at a time.

`SOURCES` is the registry. A source scans a path for units (files, or members of an archive), which may be
read in any order and on any machine, and reads a unit as a stream of chunks, never whole.
"""

from __future__ import annotations

import difflib

from activitymodule.errors import ConfigError
from activitymodule.telemetry.sources.arwise import Arwise
from activitymodule.telemetry.sources.base import Chunk, Ledger, Source, Unit
from activitymodule.telemetry.sources.casas import Casas
from activitymodule.telemetry.sources.wisdm import Wisdm

SOURCES: dict[str, Source] = {source.name: source for source in (Casas(), Arwise(), Wisdm())}


def source_named(name: str) -> Source:
    """The source of that name; ConfigError names the nearest one."""
    if name in SOURCES:
        return SOURCES[name]
    near = difflib.get_close_matches(name.lower(), SOURCES, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(SOURCES)}"
    raise ConfigError(f"there is no source {name!r}; {hint}")


__all__ = ["SOURCES", "Chunk", "Ledger", "Source", "Unit", "source_named"]
