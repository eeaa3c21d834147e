"""Files within tar and zip archives, and within archives in these."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Collection, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from activitymodule.errors import DataError
from activitymodule.telemetry.untrusted import readable

_TAR = (".tar.gz", ".tgz", ".tar")
_MOST_BYTES = 8 << 30
_INSIDE = "!/"
"""Between an archive within an archive and its file."""


def is_archive(path: Path) -> bool:
    """Whether a path is named as a zip or tar archive, compressed or not."""
    return path.name.lower().endswith((*_TAR, ".zip"))


def members(path: Path) -> list[str]:
    """Names of the files in an archive, ARCHIVE!/FILE for those of an archive in it; DataError where it is damaged."""
    return sorted(name for name, _ in each(path))


def each(path: Path, *, nested: bool = True) -> Iterator[tuple[str, IO[bytes]]]:
    """Every file of an archive, by name (see `members`) and as a stream, in the order in which they lie there.

    nested : open archives in it too; without, they are files like others
    """
    with readable(path), open(path, "rb") as file:
        yield from _within(file, path, nested=nested)


def _within(
    file: IO[bytes], path: Path, within: str = "", *, nested: bool = True
) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of an archive; archives in it are opened too, those in these not."""
    for name, member in _all(file, path):
        pure = PurePosixPath(name)
        if "__MACOSX" in pure.parts or pure.name.startswith("._"):  # what macOS adds to its archives
            continue
        if within or not nested or not is_archive(Path(name)):
            yield within + name, member
        else:
            with spooled(member) as inner:
                yield from _within(inner, Path(name), f"{name}{_INSIDE}")


@contextmanager
def unpacked(path: Path, names: Collection[str]) -> Iterator[dict[str, Path]]:
    """Copies of some members of an archive, by name, which is read once; they are gone after the block."""
    with tempfile.TemporaryDirectory(prefix="activity-") as folder:
        copies: dict[str, Path] = {}
        for name, stream in each(path):
            if name in names:
                copies[name] = Path(folder, str(len(copies)))
                with open(copies[name], "wb") as copy:
                    shutil.copyfileobj(stream, copy)
        if missing := sorted(set(names) - set(copies)):
            raise DataError(f"{path} has no file {missing[0]}")
        yield copies


def _all(file: IO[bytes], path: Path) -> Generator[tuple[str, IO[bytes]], None, None]:
    """Each file of an archive, by name and as a stream, in the order in which they lie there."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                if info.flag_bits & 1:
                    raise DataError(f"{path} is encrypted; unpack it and name the folder")
                with archive.open(info) as stream:
                    yield info.filename, stream
    else:
        with tarfile.open(fileobj=file, mode="r|*") as tar:  # only forward
            for entry in tar:
                if entry.isfile():
                    yield entry.name, cast(IO[bytes], tar.extractfile(entry))


@contextmanager
def spooled(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """A stream as a temporary file, in which one can go back. Raises DataError where it is too long for one."""
    with tempfile.TemporaryFile() as file:
        while data := stream.read(1 << 20):
            file.write(data)
            if file.tell() > _MOST_BYTES:
                raise DataError(f"an archive in it holds more than {_MOST_BYTES >> 30} GB; unpack it first")
        file.seek(0)
        yield file


@contextmanager
def opened_file(path: str, member: str | None, name: str) -> Iterator[IO[bytes]]:
    """The bytes of a file, or of a member of an archive, as a stream.

    Raises DataError with this name, also for what the stream's reader makes of them.
    """
    with readable(name), open(path, "rb") as file:
        if member is None:
            yield file
        else:
            outer, _, inner = member.partition(_INSIDE)
            with _member(file, Path(path), outer) as stream:
                if inner:
                    with spooled(stream) as archive, _member(archive, Path(outer), inner) as within:
                        yield within
                else:
                    yield stream


@contextmanager
def _member(file: IO[bytes], path: Path, name: str) -> Iterator[IO[bytes]]:
    with closing(_all(file, path)) as found:
        stream = next((stream for one, stream in found if one == name), None)
        if stream is None:
            raise DataError(f"{path} has no file {name}")
        yield stream
