"""Where fetched files go: a folder of this machine, S3 (multipart uploads), or what else Arrow can write to (gs://)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pyarrow import fs

from activitymodule import files
from activitymodule.cloud.download import BLOCK
from activitymodule.cloud.s3 import Bucket
from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.settings import location


class Sink(Protocol):
    """A file that is being written; it can be seen in its place after `commit` alone.

    position : bytes that are safe, those of an earlier run included; upload : the name by which a later run finds
    them, "" where it cannot
    """

    position: int
    upload: str

    def prefix(self) -> Iterator[bytes] | None:
        """The bytes that are there already, for their hash; None where they cannot be read back."""

    def write(self, block: bytes) -> None:
        """Append bytes."""

    def commit(self) -> None:
        """Put the whole file in its place."""

    def keep(self) -> None:
        """End without the rest, and leave what a later run can go on with."""

    def discard(self) -> None:
        """Remove what was written."""


class Target(Protocol):
    """A place for files, each with a name such as `a/b.csv`."""

    address: str

    def size(self, name: str) -> int | None:
        """Bytes of a file, None where there is none."""

    def sink(self, name: str, *, upload: str = "", size: int | None = None) -> Sink:
        """A file to write. upload : of an earlier run, to go on with; size : bytes that it will have, if known."""

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, a block at a time; NotFoundError where there is none."""

    def write_whole(self, name: str, content: bytes) -> None:
        """Write a small file."""

    def remove(self, name: str) -> None:
        """Delete a file, where there is one."""

    def names(self, folder: str) -> list[str]:
        """Names of all files below a folder."""


def target_at(address: str) -> Target:
    """The target of an address: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or a folder."""
    try:
        where = location(address)
        if where.startswith("s3://"):
            return Bucket(where)
        if "://" not in where:
            return Folder(Path(where))
        return ArrowTarget(where, *fs.FileSystem.from_uri(where))
    except (OSError, ValueError) as error:  # Arrow's errors among them
        raise ConfigError(
            f"{address[:200]} is no place to fetch to ({error}); give a folder, s3:// or gs://"
        ) from error


class Folder:
    """A folder of this machine. A file that is not whole lies beside its place, as `.NAME.part`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.address = str(path)

    def _place(self, name: str) -> Path:
        return self.path / name

    def size(self, name: str) -> int | None:
        """Bytes of a file."""
        path = self._place(name)
        try:
            return path.stat().st_size if path.is_file() else None
        except OSError as error:  # such as a name that is too long
            raise ConfigError(f"cannot look for {str(path)[:200]}: {error.strerror or error}") from error

    def sink(self, name: str, *, upload: str = "", size: int | None = None) -> FileSink:  # noqa: ARG002 (S3 asks for it)
        """A file to write."""
        return FileSink(self._place(name), go_on=bool(upload))

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes of a file."""
        yield from _blocks(self._place(name))

    def write_whole(self, name: str, content: bytes) -> None:
        """Write a small file."""
        path = self._place(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
        files.write_bytes(path, content)

    def remove(self, name: str) -> None:
        """Delete a file."""
        self._place(name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """Names of all files below a folder."""
        found = sorted(self._place(folder).rglob("*"))
        return [one.relative_to(self.path).as_posix() for one in found if one.is_file()]


class FileSink:
    """A file beside its place."""

    upload = "part"

    def __init__(self, path: Path, *, go_on: bool) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._part.open("ab") if go_on else self._part.open("wb")
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
        self.position = self._stream.tell()

    def prefix(self) -> Iterator[bytes]:
        """The bytes that are there already."""
        return _blocks(self._part)

    def write(self, block: bytes) -> None:
        """Append bytes."""
        try:
            self._stream.write(block)
        except OSError as error:
            raise ServiceUnavailableError(
                f"cannot write {self._path}: {error.strerror or error}; what is there is kept: run the command again"
            ) from error
        self.position += len(block)

    def commit(self) -> None:
        """Put the file in its place, after it is really on the disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._part.replace(self._path)

    def keep(self) -> None:
        """Leave what is there."""
        self._stream.close()

    def discard(self) -> None:
        """Remove what was written."""
        self._stream.close()
        self._part.unlink(missing_ok=True)


class ArrowTarget:
    """A file system of Arrow's, such as Cloud Storage. A file that was not finished is written again as a whole."""

    def __init__(self, address: str, system: fs.FileSystem, base: str) -> None:
        self.address = address
        self._files = system
        self._base = base.rstrip("/")

    def _place(self, name: str) -> str:
        return f"{self._base}/{name}"

    def size(self, name: str) -> int | None:
        """Bytes of a file."""
        try:
            size: int | None = self._files.get_file_info(self._place(name)).size
        except OSError as error:
            raise _unavailable(self._place(name), error) from error
        return size

    def sink(self, name: str, *, upload: str = "", size: int | None = None) -> ArrowSink:  # noqa: ARG002 (as S3)
        """A file to write."""
        return ArrowSink(self._files, self._place(name))

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes of a file."""
        try:
            with self._files.open_input_stream(self._place(name)) as stream:
                while block := stream.read(BLOCK):
                    yield block
        except OSError as error:
            raise _unavailable(self._place(name), error) from error

    def write_whole(self, name: str, content: bytes) -> None:
        """Write a small file."""
        sink = self.sink(name)
        sink.write(content)
        sink.commit()

    def remove(self, name: str) -> None:
        """Delete a file."""
        if self.size(name) is not None:
            self._files.delete_file(self._place(name))

    def names(self, folder: str) -> list[str]:
        """Names of all files below a folder."""
        chosen = fs.FileSelector(self._place(folder), allow_not_found=True, recursive=True)
        try:
            found = self._files.get_file_info(chosen)
        except OSError as error:
            raise _unavailable(self.address, error) from error
        return sorted(i.path.removeprefix(f"{self._base}/") for i in found if i.type == fs.FileType.File)


class ArrowSink:
    """An upload of Arrow's beside its place: Arrow has no way to end an upload without a file."""

    upload = ""

    def __init__(self, system: fs.FileSystem, path: str) -> None:
        self._files, self._path = system, path
        folder, _, own = path.rpartition("/")
        self._part = f"{folder}/.{own}.part"
        self.position = 0
        try:
            system.create_dir(folder, recursive=True)
            self._stream = system.open_output_stream(self._part)
        except OSError as error:
            raise _unavailable(path, error) from error

    def prefix(self) -> None:
        """Nothing is there."""

    def write(self, block: bytes) -> None:
        """Append bytes."""
        try:
            self._stream.write(block)
        except OSError as error:
            raise _unavailable(self._path, error) from error
        self.position += len(block)

    def commit(self) -> None:
        """Put the file in its place."""
        try:
            self._stream.close()
            self._files.move(self._part, self._path)
        except OSError as error:
            raise _unavailable(self._path, error) from error

    def keep(self) -> None:
        """Nothing can be kept."""
        self.discard()

    def discard(self) -> None:
        """Remove what was written."""
        try:
            self._stream.close()
            self._files.delete_file(self._part)
        except OSError as error:
            raise _unavailable(self._path, error) from error


def _unavailable(path: str, error: OSError) -> ServiceUnavailableError:
    return ServiceUnavailableError(f"{path} cannot be read or written: {error}")


def _blocks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        while block := stream.read(BLOCK):
            yield block
