"""The memory that this process has used."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_BYTES = 1 if sys.platform == "darwin" else 1024  # a unit of ru_maxrss


def peak_megabytes() -> float:
    """The greatest memory of this process so far, 10^6 bytes.

    From Linux's VmHWM: its ru_maxrss begins with that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (one for one in status.read_text(encoding="utf-8").splitlines() if one.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES / 1e6
