"""Files that are no longer needed: dates of the archive, checkpoints set aside, logs, downloaded models."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from activitymodule.errors import ServiceUnavailableError
from activitymodule.lake import archive
from activitymodule.lake.folder import entries, files_below, remove_folder
from activitymodule.registry.versions import cache_folder
from activitymodule.settings import Settings, location, resolve
from activitymodule.store.retention import Amount
from activitymodule.workflows.retention.kind import Kind, Run

MODELS_KEPT = 3
"""Downloaded versions of a model that stay whatever their age: the champion, and the ones before it."""

_SET_ASIDE = re.compile(r".+\.set-aside-(\d{8}T\d{6})")
_FLEET = re.compile(r"generate-[0-9a-f]{32}")


# ---- the archive


def _archive_due(run: Run, limit: int) -> Amount:
    return _days(archive.delete_days_before(run.config, run.before_day(limit), dry_run=True))


def _delete_archive(run: Run, limit: int) -> Amount:
    return _days(archive.delete_days_before(run.config, run.before_day(limit)))


def _days(found: list[archive.ArchivedDay]) -> Amount:
    return Amount(sum(one.files for one in found), sum(one.bytes for one in found))


# ---- checkpoints, on a disk or in object storage


def checkpoints_set_aside(config: Settings, before: datetime) -> tuple[fs.FileSystem, list[str]]:
    """Folders of checkpoints that were set aside before a moment, and those of fleets that were killed before it."""
    address = location(config.spark.checkpoints)
    try:
        files, base = fs.FileSystem.from_uri(address)
        found = entries(files, base)
    except (OSError, pa.ArrowInvalid) as error:
        raise ServiceUnavailableError(f"the checkpoints at {address} cannot be listed: {error}") from error
    old = []
    for info in found:
        if match := _SET_ASIDE.fullmatch(info.base_name):
            at: datetime | None = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        elif _FLEET.fullmatch(info.base_name):
            at = _changed_at(files, info)
        else:
            continue
        if at is not None and at < before:
            old.append(info.path)
    return files, sorted(old)


def _changed_at(files: fs.FileSystem, folder: fs.FileInfo) -> datetime | None:
    """When a folder, or what is in it, changed last: object storage has no time of a folder."""
    if folder.mtime is not None:
        return folder.mtime
    return max((one.mtime for one in files_below(files, folder.path) if one.mtime is not None), default=None)


def _amount_of_checkpoints(files: fs.FileSystem, old: list[str]) -> Amount:
    sizes = (info.size or 0 for path in old for info in files_below(files, path))
    return Amount(len(old), sum(sizes))


def _checkpoints_due(run: Run, limit: int) -> Amount:
    return _amount_of_checkpoints(*checkpoints_set_aside(run.config, run.before(limit)))


def _delete_checkpoints(run: Run, limit: int) -> Amount:
    files, old = checkpoints_set_aside(run.config, run.before(limit))
    amount = _amount_of_checkpoints(files, old)
    for path in old:
        remove_folder(files, path)
    return amount


# ---- this machine's own files


@dataclass(frozen=True)
class _Entry:
    path: Path
    bytes: int
    changed: datetime


def _files(folder: Path) -> Iterator[_Entry]:
    for place, _, names in os.walk(folder):
        for name in names:
            # a file may go while the folder is read
            with contextlib.suppress(FileNotFoundError):
                path = Path(place, name)
                found = path.lstat()
                yield _Entry(path, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


def log_folders(config: Settings) -> list[Path]:
    """Folders of logs: of the embedded services and the jobs, and of Airflow's tasks."""
    return [resolve(config.local.folder) / "logs", resolve(config.airflow.folder) / "logs"]


def _old_logs(run: Run, limit: int) -> list[_Entry]:
    before = run.before(limit)
    return [one for folder in log_folders(run.config) for one in _files(folder) if one.changed < before]


def _old_scratch(run: Run, limit: int) -> list[Path]:
    """Folders that jobs left when they were killed: Spark's own for blocks and shuffles."""
    before = run.before(limit).timestamp()
    folder = resolve(run.config.local.folder) / "spark"
    found = [*folder.glob("blockmgr-*"), *folder.glob("spark-*")]
    return [path for path in found if path.is_dir() and path.lstat().st_mtime < before]


def _amount(entries: list[_Entry]) -> Amount:
    return Amount(len(entries), sum(one.bytes for one in entries))


def _amount_of_logs(logs: list[_Entry], scratch: list[Path]) -> Amount:
    return _amount([*logs, *(one for folder in scratch for one in _files(folder))])


def _logs_due(run: Run, limit: int) -> Amount:
    return _amount_of_logs(_old_logs(run, limit), _old_scratch(run, limit))


def _delete_logs(run: Run, limit: int) -> Amount:
    logs, scratch = _old_logs(run, limit), _old_scratch(run, limit)
    amount = _amount_of_logs(logs, scratch)
    for one in logs:
        one.path.unlink(missing_ok=True)
        folder = one.path.parent
        # Airflow has a folder for each task of each run
        while folder not in log_folders(run.config) and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
    for left in scratch:
        shutil.rmtree(left, ignore_errors=True)
    return amount


def _old_models(run: Run, limit: int) -> list[Path]:
    before = run.before(limit).timestamp()
    old: list[Path] = []
    for model in cache_folder(run.config).glob("*"):
        if model.is_dir():
            versions = sorted(model.iterdir(), key=lambda path: path.lstat().st_mtime, reverse=True)
            whole = [path for path in versions if not path.name.startswith(".")]
            old += [
                path
                for path in versions
                if path not in whole[:MODELS_KEPT] and path.lstat().st_mtime < before
            ]
    return old


def _amount_of_models(old: list[Path]) -> Amount:
    return Amount(len(old), sum(one.bytes for path in old for one in _files(path)))


def _models_due(run: Run, limit: int) -> Amount:
    return _amount_of_models(_old_models(run, limit))


def _delete_models(run: Run, limit: int) -> Amount:
    old = _old_models(run, limit)
    amount = _amount_of_models(old)
    for path in old:
        # by another name first: half of a version would be taken for one
        gone = path.with_name(f".deleted-{path.name}")
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    return amount


def folder_size(folder: Path) -> Amount:
    """Files of a folder of this machine, and their bytes."""
    return _amount(list(_files(folder)))


KINDS = (
    Kind("archive_days", "raw messages in the archive", _archive_due, _delete_archive, whole_days=True),
    Kind("checkpoints_days", "checkpoints set aside", _checkpoints_due, _delete_checkpoints),
    Kind("logs_days", "logs", _logs_due, _delete_logs),
    Kind("models_days", "downloaded models", _models_due, _delete_models),
)
