"""A warehouse of each kind, with the bucket it reads."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_bigquery import DATASET, PROJECT, OwnGoogle, own_google
from own_redshift import OwnRedshift
from own_settings import replaced
from own_tables import OwnTables

from activitymodule.cloud import redshift
from activitymodule.settings import Settings

BUCKET, PREFIX = "raw", "warehouse-tests"
CLOUD = {
    "redshift": "redshift://a-workgroup/a-database",
    "bigquery": f"bigquery://{PROJECT}/{DATASET}",
    "poll_seconds": 0,
}


@dataclass
class Warehouse:
    """A warehouse and its lake. tables : what it holds; write, remove, files : of the lake"""

    kind: str
    lake: str
    tables: OwnTables
    write: Callable[[str, bytes], object]
    remove: Callable[[str], object]
    files: Callable[[], list[str]]
    google: OwnGoogle | None = None
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = self.with_lake(Settings())

    def with_lake(self, settings: Settings) -> Settings:
        """Other settings, with this lake and warehouse."""
        return replaced(settings, lake={"folder": self.lake}, cloud=CLOUD)

    def put(self, name: str, table: pa.Table) -> None:
        """Write a file of the lake."""
        out = io.BytesIO()
        pq.write_table(table, out)
        self.write(name, out.getvalue())

    def forget_column(self, table: str, column: str) -> None:
        """Make a table one of a former version."""
        self.tables.rows(f"ALTER TABLE {table} DROP COLUMN {column}")
        if self.google is not None:
            schema = self.google.bigquery.tables[table]["schema"]
            schema["fields"] = [one for one in schema["fields"] if one["name"] != column]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query of DuckDB."""
        return self.tables.rows(query)


@pytest.fixture
def redshift_warehouse(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    own = OwnRedshift()
    monkeypatch.setattr(redshift, "client", lambda service: own.client)
    bucket = boto3.resource("s3").Bucket(BUCKET)
    yield Warehouse(
        "redshift",
        f"s3://{BUCKET}/{PREFIX}",
        own,
        lambda name, content: bucket.put_object(Key=f"{PREFIX}/{name}", Body=content),
        lambda name: bucket.Object(f"{PREFIX}/{name}").delete(),
        lambda: [
            one.key.removeprefix(f"{PREFIX}/")
            for one in bucket.objects.filter(Prefix=PREFIX)
            if not one.key.endswith("/")  # a folder of Arrow's
        ],
    )
    bucket.objects.filter(Prefix=PREFIX).delete()


@pytest.fixture(scope="module")
def bigquery_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnGoogle]:
    with own_google(tmp_path_factory.mktemp("google")) as own:
        yield own


@pytest.fixture
def bigquery_warehouse(bigquery_server: OwnGoogle) -> Warehouse:
    google = bigquery_server
    google.forget()
    google.objects.clear()
    return Warehouse(
        "bigquery",
        f"gs://{BUCKET}/{PREFIX}",
        google.bigquery,
        lambda name, content: google.objects.put(f"{PREFIX}/{name}", content),
        lambda name: google.objects.delete(f"{PREFIX}/{name}"),
        lambda: [name.removeprefix(f"{PREFIX}/") for name in google.objects.names()],
        google,
    )


@pytest.fixture(params=["redshift", "bigquery"])
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    """Each of them in turn."""
    return request.getfixturevalue(f"{request.param}_warehouse")
