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
