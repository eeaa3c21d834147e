"""The lake's recordings and daily records as tables of Glue, which Athena queries."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

import pyarrow as pa

from activitymodule.cloud.glue import Catalogue, Table, Updated
from activitymodule.cloud.s3 import Bucket
from activitymodule.days import columns as days
from activitymodule.errors import ConfigError, NotFoundError
from activitymodule.lake import daily
from activitymodule.settings import Settings
from activitymodule.telemetry.prepared import prepared_schema
from activitymodule.telemetry.schema import FIELDS

RECORDINGS = "recordings"
_PREPARED = "prepared"
_PART = re.compile(rf"{_PREPARED}/([^/]+)/person=([^/]+)/date=(\d{{4}}-\d\d-\d\d)/[^/]+\.parquet")
_YEARS = "2000,2100"


def tables(lake: str) -> tuple[Table, ...]:
    """The tables of a lake, s3://BUCKET/PREFIX. Columns are those of the tables that the files are written by."""
    return (_days(lake, daily.DAILY), _days(lake, daily.HISTORY), _recordings(lake))


def update(config: Settings) -> list[Updated]:
    """Make the tables in `cloud.database`, or bring them up to date: columns and partitions are added, none removed.

    Raises ConfigError where the lake is not in S3, RefusedError where a column has another type there.
    """
    lake = _lake(config)
    catalogue = Catalogue(config.cloud.database)
    catalogue.make()
    found = []
    for table in tables(lake):
        updated = catalogue.update(table)
        if table.name == RECORDINGS:
            updated = replace(updated, partitions=catalogue.add_partitions(table, recordings_in(lake)))
        found.append(updated)
    return found


def made(config: Settings) -> list[tuple[str, str]]:
    """(name, location) of the tables of `cloud.database` that are over this lake, and were made here."""
    lake, catalogue = _lake(config), Catalogue(config.cloud.database)
    found = []
    for table in tables(lake):
        try:
            location, _ = catalogue.place(table.name)
        except NotFoundError:
            continue
        if location == table.location:
            found.append((table.name, location))
    return found


def drop(config: Settings, name: str) -> None:
    """Delete a table; the lake's files stay."""
    Catalogue(config.cloud.database).drop(name)


def _lake(config: Settings) -> str:
    lake = config.lake.folder.rstrip("/")
    if not lake.startswith("s3://"):
        raise ConfigError(
            f"lake.folder is {lake}; Glue needs files in S3: use config.aws.yaml, or set lake.folder to s3://BUCKET/PREFIX"
        )
    return lake


def recordings_in(lake: str) -> list[tuple[tuple[str, ...], str]]:
    """((source, person, date), location) of the prepared recordings of a lake, in order."""
    names = Bucket(lake).names(_PREPARED)
    found = {}
    for name in names:
        if part := _PART.fullmatch(name):
            source, person, day = part.groups()
            found[source, unquote(person), day] = f"{lake}/{name.rpartition('/')[0]}/"
    return sorted(found.items())


def _days(lake: str, name: str) -> Table:
    place = f"{lake}/{name}"
    return Table(
        name=name,
        description="Daily records of participants"
        + (" (synthesised)" if name == daily.HISTORY else "")
        + ": a row a participant, date and source.",
        location=f"{place}/",
        schema=days.SCHEMA,
        keys=pa.schema([("year", pa.int32()), ("month", pa.int32())]),
        comments={one.name: f"{one.meaning}{f', {one.unit}' if one.unit else ''}" for one in days.COLUMNS},
        projection={
            "projection.enabled": "true",
            "projection.year.type": "integer",
            "projection.year.range": _YEARS,
            "projection.year.digits": "4",
            "projection.month.type": "integer",
            "projection.month.range": "1,12",
            "projection.month.digits": "2",
            "storage.location.template": f"{place}/year=${{year}}/month=${{month}}",
        },
    )


def _recordings(lake: str) -> Table:
    schema = prepared_schema()
    keys = ("person", "date")
    return Table(
        name=RECORDINGS,
        description="Cleaned readings of recordings, 10 a second, by source, person and date (UTC).",
        location=f"{lake}/{_PREPARED}/",
        schema=pa.schema([one for one in schema if one.name not in keys]),
        keys=pa.schema([("source", pa.string()), ("person", pa.string()), ("date", pa.date32())]),
        comments={one.name: f"{one.meaning}{f', {one.unit}' if one.unit else ''}" for one in FIELDS}
        | {"activity": "the true activity; null where it is not known"},
    )
