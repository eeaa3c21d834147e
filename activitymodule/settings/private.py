"""Files of the project hold health data, so only the user who runs it can read them.

`keep_private` is called at the start of every process: files that it and its children make are of mode 600, folders of
mode 700. `make_private` corrects what older versions made.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from activitymodule.settings.sources import resolve
from activitymodule.settings.whole import Settings

UMASK = 0o077
_OTHERS = 0o077  # what group and other users may do
_PASS = 0o711  # other users may pass through a folder, and see nothing of it


def keep_private() -> None:
    """Have new files of this process and its children readable by its user only."""
    os.umask(UMASK)


def private_folders(config: Settings) -> list[Path]:
    """The folders of this machine that the project writes to; those in object storage have policies of their own."""
    settings = [
        config.local.folder,
        config.local.artifacts,
        config.airflow.folder,
        config.spark.checkpoints,
        config.archive.folder,
        config.lake.folder,
        config.reports.folder,
    ]
    folders = {resolve(place) for place in settings if "://" not in place}
    return sorted(
        folder
        for folder in folders
        if folder.is_dir() and not any(other in folder.parents for other in folders)
    )


def make_private(config: Settings) -> int:
    """Take group's and others' rights from files and folders of `private_folders`; returns from how many.

    Files of other users are left alone, PostgreSQL's among them where the stack runs as root: its user passes through
    the stack's folder, which therefore keeps mode 711. Links are not followed.
    """
    passed = resolve(config.local.folder) if os.geteuid() == 0 else None
    changed = 0
    for top in private_folders(config):
        changed += _restrict(top, _PASS if top == passed else 0o700)
        for folder, folders, files in os.walk(top):
            for name in folders + files:
                path = Path(folder, name)
                changed += _restrict(path, _PASS if path == passed else 0o700)
    return changed


def _restrict(path: Path, most: int) -> int:
    # files come and go while the stack runs
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        mode = stat.S_IMODE(found.st_mode)
        extra = mode & _OTHERS & ~most
        if extra and found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode):
            path.chmod(mode & ~extra)
            return 1
    return 0
