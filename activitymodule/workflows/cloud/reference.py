"""Reference statistics of the fleet by any of their addresses: a shipped name, a file, or a table in a cloud."""

from __future__ import annotations

import hashlib

from activitymodule import files
from activitymodule.deferred import deferred_imports
from activitymodule.settings import Settings, resolve

with deferred_imports(("activitymodule.cloud.",)):  # boto3 is of the extra `cloud`: other fleets need none
    from activitymodule.cloud import reference as remote

_FOLDER = "reference"


def with_reference(config: Settings) -> Settings:
    """The settings with `fleet.reference` as a shipped name or a file: a table is copied to `local.folder`.

    Raises ConfigError, NotFoundError or DataError for what is no table of reference statistics.
    """
    path = local_reference(config, config.fleet.reference)
    if path == config.fleet.reference:
        return config
    return config.model_copy(update={"fleet": config.fleet.model_copy(update={"reference": path})})


def local_reference(config: Settings, name: str) -> str:
    """A shipped name or a path as it is; the path of a copy of a table (glue://, redshift://)."""
    if "://" not in name:
        return name
    copy = remote.fetch(name, config.cloud.redshift, config.cloud.poll_seconds)
    digest = hashlib.sha256(copy.parquet + copy.note).hexdigest()[:16]
    folder = resolve(config.local.folder) / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{digest}.parquet"
    files.write_bytes(path, copy.parquet)
    files.write_bytes(path.with_suffix(".json"), copy.note)
    return str(path)
