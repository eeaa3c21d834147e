"""Exports: the Parquet files that the console's pages of days, personas and reports read, and nothing else.

A file is written whole or not at all, with rows in a fixed order, so that the same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from activitymodule import files
from activitymodule.errors import ConfigError, DataError
from activitymodule.settings import Settings, resolve

VERSION = "1"
"""Of the columns of all exports: an export of another version is made again, not guessed at."""
_ROWS_OF_A_GROUP = 8192  # a person's days lie in one group or two: a page reads no more


def exports_folder(config: Settings) -> Path:
    """Where the exports are kept."""
    return resolve(config.reports.folder) / "dashboard"


def write_export(folder: Path, name: str, table: pa.Table, *, order: Sequence[str]) -> Path:
    """Replace NAME.parquet by these rows, sorted by these columns. Raises ConfigError where it cannot be written."""
    path = folder / f"{name}.parquet"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
    rows = table.sort_by([(column, "ascending") for column in order]).replace_schema_metadata(
        {"version": VERSION}
    )
    with files.written_beside(path) as part:
        pq.write_table(rows, part, compression="zstd", row_group_size=_ROWS_OF_A_GROUP)
    return path


def read_export(
    folder: Path, name: str, *, columns: Sequence[str] | None = None, where: pc.Expression | None = None
) -> pa.Table | None:
    """The rows of an export, or None where it was not made yet.

    Raises DataError for a file that is damaged, or that another version wrote.
    """
    path = folder / f"{name}.parquet"
    if not path.exists():
        return None
    try:
        if (pq.read_schema(path).metadata or {}).get(b"version") != VERSION.encode():
            raise DataError(f"{path} was written by another version. `activity report` makes it again.")
        # pre_buffer reads the columns of a row group at once; threads gain nothing for a person's few rows
        return pq.read_table(path, columns=columns and list(columns), filters=where, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read: {error}. `activity report` makes it again.") from error
