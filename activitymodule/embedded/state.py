"""How the supervisor and the commands communicate: two small files in the stack's folder.

`stack.json` is the supervisor's state of its services, `wanted.json` the commands' list of what should run.
Both are replaced whole, so that a reader never sees half of one.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from activitymodule.embedded.processes import Identity


@dataclass(frozen=True)
class ServiceState:
    """One service as the supervisor sees it. Times are epoch seconds."""

    name: str
    status: str = "stopped"  # starting, healthy, unhealthy, waiting (to be started again), failed, stopped
    address: str = ""
    process: Identity | None = None
    since: float | None = None
    restarts: int = 0
    error: str | None = None


@dataclass(frozen=True)
class StackState:
    """The supervisor and its services."""

    supervisor: Identity | None = None
    services: dict[str, ServiceState] = field(default_factory=dict)


def replace(path: Path, content: object) -> None:
    """Write JSON to a file, whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def write_state(folder: Path, state: StackState) -> None:
    """Write stack.json."""
    replace(folder / "stack.json", asdict(state))


def _identity(record: Mapping[str, Any] | None) -> Identity | None:
    return Identity(**record) if record else None


def read_state(folder: Path) -> StackState:
    """The content of stack.json; an empty state where it is missing or cannot be read."""
    try:
        content = json.loads((folder / "stack.json").read_text(encoding="utf-8"))
        services = {
            name: ServiceState(**{**record, "process": _identity(record["process"])})
            for name, record in content["services"].items()
        }
        return StackState(_identity(content["supervisor"]), services)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return StackState()


def write_wanted(folder: Path, names: set[str]) -> None:
    """Write wanted.json."""
    replace(folder / "wanted.json", sorted(names))


def read_wanted(folder: Path) -> set[str]:
    """The names in wanted.json; none where it is missing or cannot be read."""
    try:
        return set(json.loads((folder / "wanted.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


@contextmanager
def lock(path: Path, wait: bool) -> Iterator[bool]:
    """Hold a file's lock, which ends with this process however that dies; yields whether it is held."""
    with open(path, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
