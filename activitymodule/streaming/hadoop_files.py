"""Files as Spark sees them, by Hadoop's file systems: on a disk, in S3 or in Cloud Storage alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from activitymodule.errors import ServiceUnavailableError
from activitymodule.files import write_bytes

# Settings of Hadoop's other programs, half of all. The state store sends all settings with each batch, compressed.
_UNUSED_SETTINGS = ("yarn.", "mapreduce.jobhistory.", "mapreduce.shuffle.")


class HadoopFiles:
    """The files of one session. A method raises what Java does (Py4JJavaError) where the file system refuses."""

    def __init__(self, spark: SparkSession) -> None:
        context = spark.sparkContext
        self._jvm: Any = context._jvm
        self._gateway: Any = context._gateway
        self._configuration: Any = context._jsc.hadoopConfiguration()

    def reduce_cost_of_batches(self) -> None:
        """Write no second file with the checksum of each file (Parquet has its own), and remove settings of programs
        that do not run here. Only for a session on this machine alone."""
        self._jvm.org.apache.hadoop.fs.FileSystem.getLocal(self._configuration).setWriteChecksum(False)
        entries, names = self._configuration.iterator(), list[str]()
        while entries.hasNext():
            names.append(entries.next().getKey())
        for name in names:
            if name.startswith(_UNUSED_SETTINGS):
                self._configuration.unset(name)

    def knows(self, address: str) -> bool:
        """Whether Spark has a file system for this path or address."""
        scheme = address.partition("://")[0] if "://" in address else "file"
        try:
            self._jvm.org.apache.hadoop.fs.FileSystem.getFileSystemClass(scheme, self._configuration)
        except Py4JJavaError:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        """Names of the entries of a folder, sorted; [] where there is no such folder.

        Raises ServiceUnavailableError where it is a file.
        """
        system, path = self._at(folder)
        if not system.exists(path):
            return []
        if not system.getFileStatus(path).isDirectory():
            raise ServiceUnavailableError(f"{folder} is a file and should be a folder; move it away")
        # as one string: a call for each of a day's files would take a second. Of one folder S3's file system gives an
        # array of a class of its own, which py4j hands to no method; of an array of folders it is Hadoop's
        folders = self._gateway.new_array(self._jvm.org.apache.hadoop.fs.Path, 1)
        folders[0] = path
        paths = self._jvm.org.apache.hadoop.fs.FileUtil.stat2Paths(system.listStatus(folders))
        text = self._jvm.org.apache.commons.lang3.ArrayUtils.toString(paths)[1:-1]
        return sorted(one.rpartition("/")[2] for one in text.split(",") if one)

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""
        system, at = self._at(path)
        return bool(system.exists(at))

    def read(self, path: str) -> bytes:
        """The content of a file."""
        return self._bytes(path, 0)

    def tail(self, path: str, count: int) -> bytes:
        """The last bytes of a file; fewer where it is shorter."""
        system, at = self._at(path)
        return self._bytes(path, max(0, system.getFileStatus(at).getLen() - count))

    def write(self, path: str, content: bytes) -> None:
        """Write a file; whoever reads it meanwhile sees the former one, or this one, whole."""
        if "://" not in path:
            # Hadoop's local file system cannot replace a file and its checksum at once
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(Path(path), content)
            return
        # an object appears when it is closed
        self.create(path, content)

    def create(self, path: str, content: bytes) -> None:
        """Write a file in place, over one of that name."""
        system, at = self._at(path)
        stream = system.create(at, True)
        try:
            stream.write(bytearray(content))
        finally:
            stream.close()

    def move(self, source: str, target: str) -> None:
        """Rename a file or a folder, over a file of that name; folders on the way are made."""
        system, old = self._at(source)
        _, new = self._at(target)
        system.mkdirs(new.getParent())
        # several file systems do not rename over a file
        if system.exists(new):
            system.delete(new, False)
        if not system.rename(old, new):
            raise ServiceUnavailableError(f"{source} could not be renamed to {target}")

    def delete(self, path: str) -> None:
        """Delete a file, or a folder with all that is in it; nothing where there is none."""
        system, at = self._at(path)
        system.delete(at, True)

    def _at(self, path: str) -> tuple[Any, Any]:
        at = self._jvm.org.apache.hadoop.fs.Path(path)
        return at.getFileSystem(self._configuration), at

    def _bytes(self, path: str, start: int) -> bytes:
        system, at = self._at(path)
        stream = system.open(at)
        try:
            stream.seek(start)
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
        finally:
            stream.close()
