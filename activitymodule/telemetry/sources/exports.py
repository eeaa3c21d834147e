"""What the importers of watches' own formats share: names of people, lines of text, files of one recording by time."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.sources.archives import is_archive, members
from activitymodule.telemetry.sources.base import Unit, files_in, opened

_BLOCK_BYTES = 4 << 20
_LONGEST_LINE = 1 << 16
_NAMED_ALIKE = {"cwa-data"}  # as an Axivity names its file
_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{0,18})?"


def recordings_at(path: Path, ending: str) -> list[tuple[str, str | None]]:
    """As `files_in`, also of archives that lie in a folder, and never another file; the ending in any case."""
    found = files_in(path, "")
    if path.is_dir():
        found = [one for one in found if Path(one[0]).is_file()]
        archives = [Path(file) for file, _ in found if is_archive(Path(file))]
        found += [(str(archive), name) for archive in archives for name in members(archive)]
    endings = (ending.lower(), f"{ending.lower()}.gz")
    return [one for one in found if (one[1] or one[0]).lower().endswith(endings)]


@contextmanager
def opened_whole(unit: Unit) -> Iterator[IO[bytes]]:
    """As `opened`, and what is compressed in itself (.gz), as archives of studies keep it, decompressed."""
    with opened(unit) as file:
        if (unit.member or unit.path).lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=file) as whole:
                yield cast(IO[bytes], whole)
        else:
            yield file


def place_of(path: Path, file: str, member: str | None) -> list[str]:
    """Where a file is below a path, outermost first: folders and archives without their endings, the file's stem.

    A file that lies at the path itself has the path's name before its own.
    """
    inside = [] if Path(file) == path else list(Path(file).relative_to(path).parts)
    inside += [] if member is None else list(PurePosixPath(member.replace("!/", "/")).parts)
    parts = [part for part in inside if part not in (".", "/", "..")]
    if len(parts) <= 1:
        at = path.parent if not parts else path
        parts = [at.resolve().name, *(parts or [path.name])]
    return [re.sub(r"(?i)\.(tar\.gz|tgz|tar|zip|[a-z0-9]{1,5}(\.gz)?)$", "", part) for part in parts]


def pseudonym(text: str) -> str:
    """A text as the name of a person: letters, digits and . _ -"""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)[:64].strip("._") or "unnamed"


def unit_of(source: str, path: Path, file: str, member: str | None) -> Unit:
    """The unit of a file that is one recording: its name is the person's, or its folder's where all are named alike."""
    *folders, name = place_of(path, file, member)
    return Unit(source, file, pseudonym(folders[-1] if name.lower() in _NAMED_ALIKE else name), member)


def device_of(unit: Unit, serial: str = "") -> str:
    """The id of a person's watch, of its serial number where the file has one."""
    return "-".join(part for part in (unit.source, unit.person, pseudonym(serial) if serial else "") if part)[
        :128
    ]


def beside(unit: Unit, name: str) -> Unit | None:
    """The file of that name in the same folder, of a disk or of an archive."""
    if unit.member is None:
        other = Path(unit.path).with_name(name)
        return replace(unit, path=str(other)) if other.is_file() else None
    member = unit.member[: unit.member.rfind("/") + 1] + name
    stat = os.stat(unit.path)
    return (
        replace(unit, member=member) if member in _known(unit.path, stat.st_mtime_ns, stat.st_size) else None
    )


@lru_cache(maxsize=4)
def _known(path: str, _changed_ns: int, _size: int) -> frozenset[str]:
    """The members of an archive; to list them again for every file of it would take long."""
    return frozenset(members(Path(path)))


def none_found(path: Path, what: str) -> ConfigError:
    """The error for a path without such a recording."""
    return ConfigError(f"{path} holds no {what}")


def lines_of(file: IO[bytes], unit: Unit) -> Iterator[pa.StringArray]:
    """The lines of a file, a block at a time. Raises DataError where one is too long to be text."""
    rest = b""
    while data := file.read(_BLOCK_BYTES):
        whole = rest + data
        cut = whole.rfind(b"\n") + 1
        lines, rest = whole[:cut], whole[cut:]
        if len(rest) > _LONGEST_LINE:
            raise DataError(f"{unit} is not a text file: it has a line of more than {_LONGEST_LINE:,} bytes")
        if lines:
            yield _texts(lines)
    if rest:
        yield _texts(rest)


def _texts(lines: bytes) -> pa.StringArray:
    text = lines.decode("utf-8-sig", "replace")
    return pc.utf8_trim_whitespace(pa.array(text.removesuffix("\n").split("\n"), pa.string()))


def fields_of(lines: pa.StringArray, pattern: str, names: Sequence[str]) -> tuple[pa.StructArray, np.ndarray]:
    """The groups of a pattern in each line, and which lines match it. NUMBER stands for a number."""
    found = pc.extract_regex(lines, "^" + pattern.replace("NUMBER", _NUMBER) + "$")
    known = np.asarray(found.is_valid().to_numpy(zero_copy_only=False))
    assert set(names) <= {field.name for field in found.type}
    return found.filter(pa.array(known)), known


def number_column(found: pa.StructArray, name: str) -> np.ndarray:
    """A group that is a number in every line, float64 (n,)."""
    return np.asarray(pc.cast(found.field(name), pa.float64()))
