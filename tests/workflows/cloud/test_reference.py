"""Reference statistics by a shipped name, a file, a table of Glue or one of Redshift are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from botocore.stub import ANY, Stubber
from own_settings import replaced

from activitymodule.cloud import redshift
from activitymodule.cloud.glue import Catalogue, Table
from activitymodule.errors import ConfigError, DataError, NotFoundError, StoreError
from activitymodule.settings import Settings
from activitymodule.statistics.reference import SHIPPED, ReferenceStatistics
from activitymodule.streaming.generate import Carried
from activitymodule.workflows.cloud.reference import local_reference, with_reference

FEW = ("1600", "1601")


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Reference statistics of two people."""
    ReferenceStatistics.load("wisdm").of_people(FEW).save(tmp_path / "few.parquet")
    return tmp_path / "few.parquet"


def settings_in(folder: Path, reference: str) -> Settings:
    return replaced(
        Settings(),
        fleet={"reference": reference},
        local={"folder": str(folder)},
        cloud={"redshift": "redshift://a-workgroup/a-database", "poll_seconds": 0},
    )


def same(found: ReferenceStatistics, expected: ReferenceStatistics) -> bool:
    """Whether the profiles are the same in half precision, in any order."""
    return {(p.person, p.activity, str(p)) for p in found.profiles} == {
        (p.person, p.activity, str(p)) for p in expected.profiles
    }


def test_a_table_of_glue(aws: str, few: Path, tmp_path: Path) -> None:
    bucket = boto3.resource("s3").Bucket("raw")
    for suffix in (".parquet", ".json"):
        bucket.put_object(Key=f"reference/few{suffix}", Body=few.with_suffix(suffix).read_bytes())
    glue = Catalogue("fleet")
    glue.make()
    columns = pq.read_schema(few)
    plain = Table(
        "few",
        "",
        "s3://raw/reference/",
        columns.empty_table().select(["person", "activity", "regime"]).schema,
        columns.empty_table().select([]).schema,
    )
    glue.update(plain)
    config = with_reference(settings_in(tmp_path / "local", "glue://fleet/few"))
    found = ReferenceStatistics.load(config.fleet.reference)
    assert same(found, ReferenceStatistics.load(few))
    assert found.origin == ReferenceStatistics.load(few).origin
    assert with_reference(config) == config
    with pytest.raises(NotFoundError):
        local_reference(config, "glue://fleet/none")


def cell(value: Any) -> dict[str, Any]:
    """A value as the Data API gives it; SUPER as text."""
    match value:
        case None:
            return {"isNull": True}
        case bool():
            return {"booleanValue": value}
        case int():
            return {"longValue": value}
        case float():
            return {"doubleValue": value}
        case list():
            return {"stringValue": json.dumps(value)}
    return {"stringValue": value}


def test_a_table_of_redshift(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of the Data API are checked against its model by botocore's Stubber: moto runs no SQL."""
    client = boto3.client("redshift-data", region_name="eu-central-1")
    monkeypatch.setattr(redshift, "client", lambda service: client)
    table = pq.read_table(few)
    records = [[cell(value) for value in row.values()] for row in table.to_pylist()]
    names = [{"name": name} for name in table.column_names]
    target = {"WorkgroupName": "a-workgroup", "Database": "a-database"}
    with Stubber(client) as stub:
        stub.add_response(
            "execute_statement",
            {"Id": "1"},
            {**target, "Sql": 'SELECT * FROM "fleet"."few"', "ClientToken": ANY},
        )
        for status in ("STARTED", "FINISHED"):
            stub.add_response("describe_statement", {"Id": "1", "Status": status}, {"Id": "1"})
        half = len(records) // 2
        stub.add_response(
            "get_statement_result",
            {"ColumnMetadata": names, "Records": records[:half], "NextToken": "n"},
            {"Id": "1"},
        )
        stub.add_response(
            "get_statement_result",
            {"ColumnMetadata": names, "Records": records[half:]},
            {"Id": "1", "NextToken": "n"},
        )
        config = with_reference(settings_in(tmp_path / "local", "redshift://fleet/few"))
        found = ReferenceStatistics.load(config.fleet.reference)
        assert same(found, ReferenceStatistics.load(few))
        assert found.people == FEW
        stub.add_response("execute_statement", {"Id": "2"})
        stub.add_response("describe_statement", {"Id": "2", "Status": "FAILED", "Error": "no such table"})
        with pytest.raises(StoreError, match="no such table"):
            local_reference(config, "redshift://fleet/none")
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    "name", ["glue://fleet", "redshift://a/b/c", 'redshift://a/b"; DROP TABLE c', "s3://bucket/x.parquet"]
)
def test_an_address_that_cannot_be_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no reference statistics"):
        local_reference(settings_in(tmp_path, name), name)


def test_a_location_without_reference_statistics(aws: str, tmp_path: Path) -> None:
    glue = Catalogue("fleet2")
    glue.make()
    schema = pq.read_schema(SHIPPED / "wisdm.parquet").empty_table().select(["person"]).schema
    glue.update(Table("empty", "", "s3://raw/empty/", schema, schema.empty_table().select([]).schema))
    with pytest.raises(DataError, match="no Parquet file"):
        local_reference(settings_in(tmp_path, ""), "glue://fleet2/empty")


def test_workers_on_other_machines_get_the_file(few: Path) -> None:
    assert Carried.of("wisdm").path() == "wisdm"
    carried = Carried.of(str(few))
    expected = ReferenceStatistics.load(few)
    assert carried.path() == str(few)
    few.unlink()
    there = Path(carried.path())
    try:
        assert there != few
        assert same(ReferenceStatistics.load(there), expected)
        assert carried.path() == str(there)
    finally:
        for suffix in (".parquet", ".json"):
            there.with_suffix(suffix).unlink()
