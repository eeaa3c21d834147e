"""Files written whole or not at all: beside their place, and then renamed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from activitymodule.errors import ConfigError, DataError


@contextmanager
def written_beside(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """A path beside `path` to write to; it replaces `path` at the end of the block, and goes where that fails.

    What is no regular file (a pipe, /dev/stdout) is written to itself; a symbolic link stays one. mode : of a new
    file, less the umask. Raises ConfigError with the reason where the file cannot be written.
    """
    if "\0" in str(path):
        raise ConfigError(f"cannot write {str(path)!r}: its name holds NUL")
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            yield path
            return
        # the suffix stays: libraries choose the format by it
        part = target.with_name(f".{os.getpid()}.{target.name[-200:]}")
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        try:
            yield part
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, which takes its place at the end of the block, and goes where that fails.

    What else was in the folder stays in it. Raises ConfigError with the reason where it cannot be written.
    """
    try:
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        part, before = (target.with_name(f".{os.getpid()}.{kind}.{target.name}") for kind in ("new", "old"))
        for left in (part, before):
            shutil.rmtree(left, ignore_errors=True)
        part.mkdir()
        try:
            yield part
            if target.exists():
                target.replace(before)
            part.replace(target)
            for other in before.iterdir() if before.exists() else ():
                if not (target / other.name).exists():
                    other.replace(target / other.name)
        finally:
            if before.exists() and not target.exists():
                before.replace(target)
            for left in (part, before):
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


def write_text(path: Path, text: str, mode: int = 0o666) -> None:
    """Replace a file by this text, in UTF-8 and with its line ends as they are. Raises ConfigError."""
    write_bytes(path, text.encode(), mode)


def write_bytes(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace a file by these bytes. Raises ConfigError."""
    with written_beside(path, mode) as part:
        part.write_bytes(content)


def with_block(text: str, name: str, content: str, *, made_by: str, document: str) -> str:
    """The text of a document with the block `name` replaced, which a command fills.

    Raises DataError where it has no such block.
    """
    begin, end = f"<!-- {name}: made by {made_by} -->", f"<!-- end of {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise DataError(f"{document} has no block {name}; take the file of this version of the project")
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def disk_space(folder: Path) -> tuple[int, int]:
    """Free and total bytes of the disk that holds a folder; one that is yet to be made counts as the nearest above."""
    usage = shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.exists()))
    return usage.free, usage.total
