"""Cloud Storage by its emulator, as Arrow sees it.

The emulator is a process of its own: Arrow opens a file without letting other threads of its process run.
"""

from __future__ import annotations

import signal
import subprocess
import sys

from pyarrow import fs

_BUCKET = "raw"


class OwnObjects:
    """The objects of the bucket `raw`. location : of the bucket, for who asks"""

    def __init__(self) -> None:
        self.location = "EU"
        self._process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def content(self, name: str) -> bytes | None:
        """The bytes of an object; None where there is none."""
        if name not in self.names():
            return None
        with _files().open_input_stream(f"{_BUCKET}/{name}") as stream:
            return stream.read()

    def names(self) -> list[str]:
        """The names of all objects."""
        found = _files().get_file_info(fs.FileSelector(_BUCKET, recursive=True))
        return [one.path.removeprefix(f"{_BUCKET}/") for one in found if one.is_file]

    def put(self, name: str, content: bytes) -> None:
        """Write an object."""
        with _files().open_output_stream(f"{_BUCKET}/{name}") as stream:
            stream.write(content)

    def delete(self, name: str) -> None:
        """Delete an object."""
        _files().delete_file(f"{_BUCKET}/{name}")

    def clear(self) -> None:
        """Delete all objects."""
        self.location = "EU"
        for name in self.names():
            self.delete(name)

    def end(self) -> None:
        """End the emulator."""
        self._process.kill()
        self._process.communicate()


def _files() -> fs.FileSystem:
    """Found by the environment."""
    files, _ = fs.FileSystem.from_uri(f"gs://{_BUCKET}")
    return files


if __name__ == "__main__":
    from gcp_storage_emulator.server import create_server

    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=_BUCKET)
    server.start()
    print(server._api._httpd.server_port, flush=True)
    signal.pause()
