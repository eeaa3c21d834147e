"""Recordings in object storage (s3://, gs://): each file is copied to the machine that reads it, and then deleted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable
from urllib.parse import quote, unquote

import pyarrow as pa
from pyarrow import fs

from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.telemetry.sources.base import Source, Unit


@runtime_checkable
class ByFile(Protocol):
    """A source of which each file is one person's recording, and can be read without the others.

    file_suffix : of such files; person_of : whose a file of this name is
    """

    file_suffix: str

    def person_of(self, file: str) -> str:
        """Whose recording a file is, by its name."""


def is_address(path: str | Path) -> bool:
    """Whether a path is an address of object storage."""
    return "://" in str(path)


def scan(source: Source, address: str) -> dict[Unit, int]:
    """The units of an address, each a file whose path is an address, with its bytes.

    Raises ConfigError where there is none, or the source needs more than one file at a time.
    """
    if not isinstance(source, ByFile):
        raise ConfigError(
            f"the source {source.name} reads folders and archives of this machine; copy {address} "
            "(`aws s3 sync`, `gcloud storage rsync`) and name the copy"
        )
    try:
        system, base = fs.FileSystem.from_uri(address)
        found = system.get_file_info(fs.FileSelector(base, recursive=True, allow_not_found=True))
    except (OSError, pa.ArrowInvalid) as error:
        raise ServiceUnavailableError(f"{address} cannot be read: {error}") from error
    scheme = address.partition("://")[0]
    files = sorted(
        (info for info in found if info.type == fs.FileType.File and _is_recording(info.path, source)),
        key=lambda info: info.path,
    )
    if not files:
        raise ConfigError(f"{address} holds no {source.file_suffix} file")
    return {
        Unit(
            source.name, f"{scheme}://{quote(info.path)}", source.person_of(PurePosixPath(info.path).name)
        ): info.size
        for info in files
    }


def _is_recording(path: str, source: ByFile) -> bool:
    return path.endswith(source.file_suffix) and not PurePosixPath(path).name.startswith((".", "_"))


@contextmanager
def local(unit: Unit) -> Iterator[Unit]:
    """The unit as a file of this machine: itself, or a copy that goes at the end of the block."""
    if not is_address(unit.path):
        yield unit
        return
    with tempfile.TemporaryDirectory(prefix="activity-recording-") as folder:
        copy = Path(folder) / PurePosixPath(unquote(unit.path)).name
        try:
            system, path = fs.FileSystem.from_uri(unit.path)
            fs.copy_files(
                path, str(copy), source_filesystem=system, destination_filesystem=fs.LocalFileSystem()
            )
        except (OSError, pa.ArrowInvalid) as error:
            raise ServiceUnavailableError(f"{unit.path} cannot be read: {error}") from error
        yield replace(unit, path=str(copy))
