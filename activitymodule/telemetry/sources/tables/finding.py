"""Which files of a path a mapping takes, and what their names say of person, device, label and trial."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from activitymodule.telemetry.mapping.model import Mapping
from activitymodule.telemetry.sources.archives import each, is_archive, members
from activitymodule.telemetry.sources.tables.files import is_table


@dataclass(frozen=True)
class Found:
    """A file that a mapping takes.

    path : of the file or its archive; name : the path below what was given; table : 0 for the mapping itself, else
    1 + its place in `also`; groups : of the regular expression over its name; counts : whether this unit counts the
    rows of the file that are nobody's, so that of several units of a file one does; first_us : its first time on the
    clock, 0 where times count from a start
    """

    path: str
    member: str | None
    name: str
    table: int
    groups: dict[str, str]
    counts: bool = True
    first_us: int = 0

    @property
    def trial(self) -> tuple[str, ...]:
        """Files that are equal in this are of one trial."""
        folder = "" if "trial" in self.groups else str(PurePosixPath(self.name).parent)
        return folder, *(self.groups.get(name, "") for name in ("person", "device", "label", "trial"))


def listed(path: Path) -> Iterator[tuple[str, str | None, str]]:
    """The files at a path: file or archive, member, and the name below the path, in the order of names."""
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    else:
        files = [path]
    for file in files:
        below = file.relative_to(path).as_posix() if path.is_dir() else file.name
        if is_archive(file):
            for member in members(file):
                yield str(file), member, f"{below}!/{member}" if path.is_dir() else member
        else:
            yield str(file), None, below


def taken(mapping: Mapping, file: str, member: str | None, name: str) -> Found | None:
    """A file as one of the mapping's, None where it takes no such file."""
    if mapping.spans is not None and PurePosixPath(name).match(mapping.spans.file):
        return None
    for place, table in enumerate((mapping, *mapping.also)):
        if not (fnmatch.fnmatch(name, table.files) or fnmatch.fnmatch(PurePosixPath(name).name, table.files)):
            continue
        pattern = table.path or mapping.path
        match = re.search(pattern, name) if pattern else None
        if not is_table(name) or (pattern and match is None):
            continue
        groups = {k: v for k, v in match.groupdict().items() if v is not None} if match else {}
        return Found(file, member, name, place, groups)
    return None


def streams(files: list[tuple[str, str | None]]) -> Iterator[tuple[str, str | None, IO[bytes]]]:
    """These files and members of archives, each archive read once, in the order in which they lie there."""
    by_path: dict[str, set[str | None]] = {}
    for path, member in files:
        by_path.setdefault(path, set()).add(member)
    for path, wanted in by_path.items():
        if None in wanted:
            with open(path, "rb") as file:
                yield path, None, file
        else:
            for name, stream in each(Path(path)):
                if name in wanted:
                    yield path, name, stream
