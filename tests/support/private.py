"""What other users of this machine could read."""

from __future__ import annotations

import os
from pathlib import Path


def readable_by_others(*folders: Path | str) -> list[str]:
    """Files and folders below `folders`, themselves included, on which group or others have any right; links aside."""
    paths = [Path(folder) for folder in folders]
    for folder in folders:
        for place, names, files in os.walk(folder):
            paths += [Path(place, name) for name in names + files]
    return [
        f"{path} {path.lstat().st_mode:o}"
        for path in paths
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    ]
