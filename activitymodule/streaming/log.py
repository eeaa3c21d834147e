"""Messages of a job to the person who runs it."""

from __future__ import annotations

import sys
import time


def log(message: str) -> None:
    """Write one line with the time of day to stderr."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {message}\n")
    sys.stderr.flush()
