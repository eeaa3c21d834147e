"""Files of an export: in a folder, in a zip or tar, or one alone. What unpacks to far more than it says is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.sources.archives import each, is_archive
from activitymodule.telemetry.untrusted import readable

_FREE_BYTES = 256 << 20
_MOST_RATIO = 500
_MOST_BYTES = 256 << 30
_MOST_FILES = 500_000


class Guarded:
    """A stream of an archive that ends with DataError where the archive unpacks to more than can be true.

    Real exports unpack to 20 to 60 times their size; a file made to fill a disk to 1,000 times and more.
    """

    def __init__(self, stream: IO[bytes], budget: Budget, name: str) -> None:
        self._stream, self._budget, self._name = stream, budget, name

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes; none at the end. Raises DataError, also where the archive is damaged."""
        with readable(self._name):
            data = self._stream.read(size)
        self._budget.spend(len(data))
        return data


class Budget:
    """How many bytes an archive may unpack to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = min(max(path.stat().st_size * _MOST_RATIO, _FREE_BYTES), _MOST_BYTES)

    def spend(self, count: int) -> None:
        """Take bytes from the budget. Raises DataError where none are left."""
        self._left -= count
        if self._left < 0:
            raise DataError(
                f"{self._path} unpacks to more than {_MOST_RATIO} times its size; it is no export of a phone or watch"
            )


def each_file(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Guarded]]:
    """The wanted files at a path, by name and as a stream, in the order of names (archives: as they lie there).

    Raises ConfigError where there is no such path, DataError where an archive is damaged or unpacks to too much.
    """
    if not os.path.exists(path):  # also for names that no file system has
        raise ConfigError(f"there is no file or folder {path}")
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path).as_posix()
            if file.is_file() and not file.name.startswith("._") and wanted(name):
                with readable(file), open(file, "rb") as stream:
                    yield name, Guarded(stream, Budget(file), name)
    elif is_archive(path):
        budget = Budget(path)
        with readable(path):
            for count, (name, member) in enumerate(each(path, nested=False)):
                if count >= _MOST_FILES:
                    raise DataError(f"{path} holds more than {_MOST_FILES:,} files; it is no export")
                if wanted(name):
                    yield name, Guarded(member, budget, name)
    elif wanted(path.name):
        with readable(path), open(path, "rb") as stream:
            yield path.name, Guarded(stream, Budget(path), path.name)


def whole(stream: Guarded, name: str, most_bytes: int) -> bytes:
    """All bytes of a file. Raises DataError where there are more than can be true."""
    data = stream.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise DataError(f"{name} is larger than {most_bytes >> 20} MB; it is no file of such an export")
    return data
