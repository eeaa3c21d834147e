"""The logs of the embedded stack: their last lines, and what is written from now on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from activitymodule.errors import ConfigError
from activitymodule.settings import Settings, resolve

_POLL_SECONDS = 0.3


class _Tail:
    """A log that grows, and that is truncated now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO = open(path, errors="replace", encoding="utf-8")  # noqa: SIM115 - it stays open to be followed

    def last(self, lines: int) -> list[str]:
        return [line.rstrip("\n") for line in deque(self._file, lines)]

    def more(self) -> list[str]:
        """Lines written since the last call."""
        if self._path.stat().st_size < self._file.tell():
            self._file.seek(0)
        return [line.rstrip("\n") for line in self._file]


def names(config: Settings) -> list[str]:
    """Whose logs there are: services and the supervisor. Raises ConfigError where there are none yet."""
    folder = _folder(config)
    found = sorted(path.stem for path in folder.glob("*.log"))
    if not found:
        raise ConfigError(f"there are no logs in {folder}; `activity up` starts the stack that writes them")
    return found


def read(config: Settings, of: list[str], lines: int, follow: bool) -> Iterator[tuple[str, str]]:
    """The last lines of these logs as (name, line), one log after another; with `follow` also what is written later,
    without an end. Raises ConfigError for a log that does not exist."""
    known = names(config)
    for name in of:
        if name not in known:
            raise ConfigError(f"there is no log of {name!r}; there are logs of {', '.join(known)}")
    tails = {name: _Tail(_folder(config) / f"{name}.log") for name in of}
    for name, tail in tails.items():
        yield from ((name, line) for line in tail.last(lines))
    while follow:
        time.sleep(_POLL_SECONDS)
        for name, tail in tails.items():
            yield from ((name, line) for line in tail.more())


def _folder(config: Settings) -> Path:
    return resolve(config.local.folder) / "logs"
