"""Daily records and predictions of past days, as the lake has them in S3, in tables of Redshift.

A file is loaded in one transaction: what the table has of its dates is replaced by it, and the ledger
(`activity_loads`) gets a line with the file, its ETag and its rows. So a load that is killed has no effect, one that is
repeated has nothing to do, and rows that left a file (an erasure) leave the table with the next load.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from activitymodule.cloud.redshift import Redshift
from activitymodule.cloud.s3 import Bucket
from activitymodule.days import columns as days
from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.lake import predictions
from activitymodule.settings import Settings

LEDGER = "activity_loads"
_LEDGER = (
    f"CREATE TABLE IF NOT EXISTS {LEDGER} (table_name VARCHAR(128), file VARCHAR(1024), etag VARCHAR(128), "
    "rows_in_file BIGINT, rows_loaded BIGINT, loaded_at TIMESTAMP)"
)
_TYPES = {
    pa.bool_(): "BOOLEAN",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "REAL",
    pa.float64(): "DOUBLE PRECISION",
    pa.string(): "VARCHAR(65535)",
    pa.date32(): "DATE",
}


@dataclass(frozen=True)
class Kind:
    """A table and its files. place : pattern of a file, with year and month or date; time : the column of its dates."""

    table: str
    place: re.Pattern[str]
    time: str
    schema: pa.Schema


KINDS = (
    Kind("daily", re.compile(r"daily/year=(\d{4})/month=(\d\d)/days\.parquet"), "date", days.SCHEMA),
    Kind(
        "predictions",
        re.compile(r"predictions/date=(\d{4})-(\d\d)-(\d\d)/predictions\.parquet"),
        "window_start",
        predictions.SCHEMA,
    ),
)


@dataclass(frozen=True)
class Loaded:
    """A file that was loaded."""

    table: str
    file: str
    rows: int


@dataclass(frozen=True)
class LoadReport:
    """What a load did. kept : files that were loaded before, and have not changed since."""

    to: str
    loaded: tuple[Loaded, ...]
    kept: int


def load(config: Settings, *, say: Callable[[str], None] = lambda text: None) -> LoadReport:
    """Load the files of the lake that are new or changed into `cloud.redshift`.

    Raises ConfigError where the lake is not in S3 or no database is set, StoreError with Redshift's reason where it
    refuses a file; those before it are loaded, and the next load goes on with it.
    """
    lake = config.lake.folder.rstrip("/")
    if not lake.startswith("s3://"):
        raise ConfigError(
            f"lake.folder is {lake}; Redshift reads files in S3: set lake.folder to s3://BUCKET/PREFIX"
        )
    if config.cloud.redshift is None:
        raise ConfigError("cloud.redshift is not set; set it to redshift://WORKGROUP/DATABASE")
    redshift = Redshift(config.cloud.redshift, config.cloud.poll_seconds)
    bucket = Bucket(lake)
    redshift.run([_LEDGER, *(_create(kind.table, kind.schema) for kind in KINDS)])
    for kind in KINDS:
        _add_columns(redshift, kind)
    done = _done(redshift)
    loaded, kept = [], 0
    for kind in KINDS:
        for name, etag in sorted(bucket.etags(kind.table).items()):
            found = kind.place.fullmatch(name)
            if found is None:
                continue
            file = f"{lake}/{name}"
            if done.get((kind.table, file)) == etag:
                kept += 1
                continue
            first, after = _dates(*map(int, found.groups()))
            metadata = _metadata(file)
            say(f"{kind.table}: {name} ({metadata.num_rows:,} rows)")
            redshift.run(
                statements(
                    kind, file, etag, first, after, metadata.schema.to_arrow_schema(), metadata.num_rows
                )
            )
            loaded.append(Loaded(kind.table, file, metadata.num_rows))
    return LoadReport(config.cloud.redshift, tuple(loaded), kept)


def statements(
    kind: Kind, file: str, etag: str, first: date, after: date, schema: pa.Schema, rows: int
) -> list[str]:
    """The transaction that loads a file with the dates [first, after); it fails where not all rows arrive."""
    names = ", ".join(f'"{one}"' for one in schema.names)
    # a division by zero ends the transaction where the counts differ
    return [
        f"CREATE TEMP TABLE staged ({_columns(schema)})",
        f"COPY staged FROM {_text(file)} IAM_ROLE default FORMAT AS PARQUET SERIALIZETOJSON",
        f"SELECT 1 / CASE WHEN count(*) = {rows} THEN 1 ELSE 0 END FROM staged",
        f'DELETE FROM {kind.table} WHERE "{kind.time}" >= {_text(str(first))} AND "{kind.time}" < {_text(str(after))}',
        f"INSERT INTO {kind.table} ({names}) SELECT {names} FROM staged",
        f"INSERT INTO {LEDGER} SELECT {_text(kind.table)}, {_text(file)}, {_text(etag)}, {rows}, count(*), GETDATE() "
        "FROM staged",
        "DROP TABLE staged",
    ]


def _dates(year: int, month: int, day: int | None = None) -> tuple[date, date]:
    """The dates [first, after) of a file of a month, or of a day."""
    if day is not None:
        return date(year, month, day), date(year, month, day) + timedelta(days=1)
    return date(year, month, 1), (date(year, month, 1) + timedelta(days=31)).replace(day=1)


def _done(redshift: Redshift) -> dict[tuple[str, str], str]:
    """The ETag of each file that was loaded, (table, file), as it was last."""
    found = redshift.rows(f"SELECT table_name, file, etag FROM {LEDGER} ORDER BY loaded_at")
    return {(str(table), str(file)): str(etag) for table, file, etag in found.rows}


def _add_columns(redshift: Redshift, kind: Kind) -> None:
    """Add the columns that a table of a former version lacks."""
    found = redshift.rows(f"SELECT column_name FROM svv_columns WHERE table_name = {_text(kind.table)}")
    known = {str(name) for (name,) in found.rows}
    missing = [one for one in kind.schema if one.name not in known] if known else []
    for one in missing:
        redshift.run([f'ALTER TABLE {kind.table} ADD COLUMN "{one.name}" {redshift_type(one.type)}'])


def redshift_type(kind: pa.DataType) -> str:
    """Redshift's type of a column; lists and maps are SUPER. Times are UTC."""
    if kind in _TYPES:
        return _TYPES[kind]
    return "TIMESTAMP" if pa.types.is_timestamp(kind) else "SUPER"


def _create(table: str, schema: pa.Schema) -> str:
    return f"CREATE TABLE IF NOT EXISTS {table} ({_columns(schema)})"


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f'"{one.name}" {redshift_type(one.type)}' for one in schema)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _metadata(file: str) -> pq.FileMetaData:
    try:
        system, path = fs.FileSystem.from_uri(file)
        return pq.read_metadata(path, filesystem=system)
    except (OSError, pa.ArrowInvalid) as error:
        raise ServiceUnavailableError(f"{file} cannot be read: {error}") from error
