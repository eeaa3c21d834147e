"""The parent of Spark's Python workers, with what they need imported once, before it forks them.

Spark starts it in place of `pyspark.daemon` (`spark.python.daemon.module`). Otherwise every worker imports the same
libraries on its own, some seconds of processor time each, in the middle of the first batch.

The workers also acknowledge at once what they read. Spark's side of the connection holds a small write back until
the one before it is acknowledged (Nagle's algorithm), and Linux by itself delays that for 40 ms where nothing is to
be sent the other way: a fifth of a small micro-batch.
"""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Callable
from typing import Any, BinaryIO

import activitymodule.streaming.scoring_task
from activitymodule.models.onnx.session import preload

__all__ = ["Acknowledging", "activitymodule"]


class Acknowledging(io.RawIOBase):
    """Reads of a TCP connection, each acknowledged as soon as it is read."""

    def __init__(self, source: io.FileIO) -> None:
        self._source = source
        self._socket = socket.fromfd(source.fileno(), socket.AF_INET, socket.SOCK_STREAM)

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there, and acknowledge it."""
        count = self._source.readinto(buffer)
        # not sticky: Linux goes back to delaying by itself
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return count

    def fileno(self) -> int:
        """The descriptor of the connection."""
        return self._source.fileno()

    def close(self) -> None:
        """Close this side of the connection."""
        self._socket.close()
        super().close()


def acknowledging(main: Callable[..., Any]) -> Callable[..., Any]:
    """Spark's worker program, reading through Acknowledging where there is such a thing."""

    def run(infile: BinaryIO, outfile: BinaryIO) -> Any:
        raw = getattr(infile, "raw", None)
        if not isinstance(raw, io.FileIO) or not hasattr(socket, "TCP_QUICKACK"):
            return main(infile, outfile)
        with contextlib.closing(Acknowledging(raw)) as quick:
            return main(io.BufferedReader(quick, 65536), outfile)

    return run


if __name__ == "__main__":
    import pyspark.daemon

    preload()
    if hasattr(pyspark.daemon, "worker_main"):
        pyspark.daemon.worker_main = acknowledging(pyspark.daemon.worker_main)
    else:  # Spark 4.1 and newer look the worker's program up after the fork
        import pyspark.worker

        pyspark.worker.main = acknowledging(pyspark.worker.main)
    pyspark.daemon.manager()
