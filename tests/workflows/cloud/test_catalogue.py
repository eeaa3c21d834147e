"""Tables of Glue, against moto's server: from the project's own columns, and columns are only added."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import boto3
import pyarrow as pa
import pytest
from own_settings import replaced

from activitymodule.cloud.glue import Catalogue, Table, hive_type
from activitymodule.days import columns as days
from activitymodule.errors import ConfigError, NotFoundError, RefusedError
from activitymodule.lake.daily import month_of
from activitymodule.settings import Settings
from activitymodule.telemetry.schema import FIELDS
from activitymodule.workflows.cloud import catalogue

LAKE = "s3://raw/lake"
SETTINGS = replaced(Settings(), lake={"folder": LAKE}, cloud={"database": "activity"})


def columns(table: str, database: str = "activity") -> dict[str, str]:
    """Types by name, as Glue has them."""
    found = boto3.client("glue").get_table(DatabaseName=database, Name=table)["Table"]
    return {one["Name"]: one["Type"] for one in found["StorageDescriptor"]["Columns"]}


def test_recordings_and_days_become_tables(aws: str) -> None:
    bucket = boto3.resource("s3").Bucket("raw")
    places = [
        f"prepared/casas/person={person}/date={day}/part-0.parquet"
        for person in ("p1", "p%202")
        for day in ("2026-01-01", "2026-01-02")
    ]
    for place in (*places, "prepared/casas/_SUCCESS", "prepared/casas/person=p1/date=2026-01-01/.x.crc"):
        bucket.put_object(Key=f"lake/{place}", Body=b"")
    made = {one.name: one for one in catalogue.update(SETTINGS)}
    assert all(one.made for one in made.values())
    assert made["recordings"].partitions == 4
    assert list(columns("recordings")) == [
        *(one.name for one in FIELDS),
        *(name for name in columns("recordings") if name not in {field.name for field in FIELDS}),
    ]
    assert columns("recordings")["user_acceleration_x"] == "float"
    assert list(columns("daily")) == [one.name for one in days.COLUMNS]
    assert columns("daily")["date"] == "date"
    assert columns("daily") == columns("history")
    again = {one.name: one for one in catalogue.update(SETTINGS)}
    assert not any(one.made or one.added or one.partitions for one in again.values())
    bucket.put_object(Key="lake/prepared/casas/person=p3/date=2026-01-03/part-0.parquet", Body=b"")
    assert catalogue.update(SETTINGS)[-1].partitions == 1
    found = boto3.client("glue").get_partitions(DatabaseName="activity", TableName="recordings")["Partitions"]
    places_of = {tuple(one["Values"]): one["StorageDescriptor"]["Location"] for one in found}
    assert places_of["casas", "p 2", "2026-01-01"] == f"{LAKE}/prepared/casas/person=p%202/date=2026-01-01/"


def test_projected_partitions_are_where_the_lake_writes(aws: str) -> None:
    table = next(one for one in catalogue.tables(LAKE) if one.name == "daily")
    template = table.projection["storage.location.template"]
    place = template.replace("${year}", "2026").replace("${month}", "03")
    assert f"{LAKE}/daily/{month_of(date(2026, 3, 9)).place}".startswith(f"{place}/")


def test_columns_are_only_added(aws: str) -> None:
    glue = Catalogue("evolution")
    glue.make()
    glue.make()
    keys = pa.schema([("day", pa.date32())])
    schema = pa.schema([("a", pa.int64()), ("b", pa.map_(pa.string(), pa.float64()))])
    table = Table("t", "first", f"{LAKE}/t/", schema, keys, {"a": "x" * 300})
    assert glue.update(table).made
    more = replace(table, schema=pa.schema([("c", pa.string()), *schema]), description="second")
    assert glue.update(more).added == ("c",)
    assert columns("t", "evolution") == {"a": "bigint", "b": "map<string,double>", "c": "string"}
    assert glue.update(table).added == ()
    assert list(columns("t", "evolution")) == ["a", "b", "c"], "none is removed"
    with pytest.raises(RefusedError, match="column a"):
        glue.update(replace(table, schema=pa.schema([("a", pa.string())])))
    with pytest.raises(RefusedError, match="partitions"):
        glue.update(replace(table, keys=pa.schema([("year", pa.int32())])))
    assert glue.place("t")[0] == f"{LAKE}/t/"
    with pytest.raises(NotFoundError):
        glue.place("u")
    with pytest.raises(ValueError, match="halffloat"):
        hive_type(pa.float16())


def test_a_lake_on_a_disk_has_no_tables() -> None:
    with pytest.raises(ConfigError, match=r"lake\.folder"):
        catalogue.update(Settings())
