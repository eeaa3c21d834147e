"""What other users of this machine could read."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


def readable_by_others(*folders: Path | str) -> list[str]:
    """Files and folders below `folders`, themselves included, on which group or others have any right; links aside."""
    paths = [Path(folder) for folder in folders]
    for folder in folders:
        for place, names, files in os.walk(folder):
            paths += [Path(place, name) for name in names + files]
    found = []
    for path in paths:
        # a service deletes files while the folder is read
        with contextlib.suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & 0o077:
                found.append(f"{path} {mode:o}")
    return found
