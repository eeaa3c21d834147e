"""A folder of the lake, on a disk or in object storage."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from activitymodule.errors import ServiceUnavailableError
from activitymodule.settings import Settings, location


def files_below(files: fs.FileSystem, folder: str) -> list[fs.FileInfo]:
    """The files below a folder, however deep; [] where there is no such folder."""
    found = files.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    return [info for info in found if info.is_file]


def entries(files: fs.FileSystem, folder: str) -> list[fs.FileInfo]:
    """The files and folders in a folder; [] where there is no such folder.

    Of Cloud Storage Arrow lists only folders that have an object of their own, which neither Spark nor gcloud makes:
    there a folder is what names of files below have in common.
    """
    if files.type_name != "gcs":
        return list(files.get_file_info(fs.FileSelector(folder, allow_not_found=True)))
    found: dict[str, fs.FileInfo] = {}
    for info in files_below(files, folder):
        name, _, deeper = info.path.removeprefix(f"{folder}/").partition("/")
        found[name] = fs.FileInfo(f"{folder}/{name}", fs.FileType.Directory) if deeper else info
    return list(found.values())


def remove_folder(files: fs.FileSystem, folder: str) -> None:
    """Delete a folder with all that is in it; nothing where there is none."""
    files.delete_dir_contents(folder, missing_dir_ok=True)
    # in object storage it may be gone with its last file
    if files.get_file_info(folder).type == fs.FileType.Directory:
        files.delete_dir(folder)


class LakeFolder:
    """A folder within `lake.folder`: its file system and its path there."""

    def __init__(self, config: Settings, name: str) -> None:
        self.address = f"{location(config.lake.folder)}/{name}"
        with self.explained():
            self.files, self.base = fs.FileSystem.from_uri(self.address)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Raise ServiceUnavailableError for an error of the file system."""
        try:
            yield
        except (OSError, pa.ArrowInvalid) as error:
            raise ServiceUnavailableError(f"the lake at {self.address} cannot be used: {error}") from error

    def paths_below(self) -> list[str]:
        """The paths of all files in it, however deep; [] where there is no such folder."""
        with self.explained():
            return [info.path for info in files_below(self.files, self.base)]

    def is_file(self, path: str) -> bool:
        """Whether there is a file."""
        return bool(self.files.get_file_info(path).type == fs.FileType.File)

    @contextlib.contextmanager
    def partial(self, path: str) -> Iterator[str]:
        """A path beside `path` to write to, in a folder that is there; what is left of it in the end is deleted."""
        folder, name = os.path.split(path)
        self.files.create_dir(folder, recursive=True)
        partial = f"{folder}/.{name}.partial"
        try:
            yield partial
        finally:
            if self.is_file(partial):
                self.files.delete_file(partial)

    def publish(self, partial: str, path: str) -> None:
        """Put a complete file in its place; on a disk only after it is really there."""
        if isinstance(self.files, fs.LocalFileSystem):
            _sync(partial)
            os.replace(partial, path)
            _sync(os.path.dirname(path))
        else:
            self.files.move(partial, path)

    def write_table(self, path: str, table: pa.Table) -> None:
        """Write a Parquet file; it appears whole or not at all, in place of one that is there."""
        with self.partial(path) as partial:
            pq.write_table(table, partial, filesystem=self.files, compression="zstd")
            self.publish(partial, path)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
