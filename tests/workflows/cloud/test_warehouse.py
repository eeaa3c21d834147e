"""Files of the lake into a warehouse: each once, a changed one again, and nothing of a load that failed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_redshift import OwnRedshift
from own_settings import replaced

from activitymodule.cloud import redshift
from activitymodule.days import columns as days
from activitymodule.errors import ConfigError, StoreError
from activitymodule.lake import predictions
from activitymodule.lake.daily import month_of
from activitymodule.settings import Settings
from activitymodule.workflows.cloud import warehouse

SETTINGS = replaced(
    Settings(),
    lake={"folder": "s3://raw/warehouse"},
    cloud={"redshift": "redshift://a-workgroup/a-database", "poll_seconds": 0},
)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, aws: str) -> Iterator[OwnRedshift]:
    own = OwnRedshift()
    monkeypatch.setattr(redshift, "client", lambda service: own.client)
    yield own
    boto3.resource("s3").Bucket("raw").objects.filter(Prefix="warehouse/").delete()


def put(key: str, table: pa.Table) -> None:
    out = io.BytesIO()
    pq.write_table(table, out)
    boto3.client("s3").put_object(Bucket="raw", Key=f"warehouse/{key}", Body=out.getvalue())


def write_days(first: date, people: int, without: str | None = None) -> None:
    """The file of a month with a day each of so many people."""
    empty: dict[str, Any] = dict.fromkeys(days.SCHEMA.names)
    rows = [
        {**empty, "participant": f"p{k}", "date": first, "source": "devices", "zone": "UTC", "hours": 24.0}
        for k in range(people)
    ]
    schema = pa.schema([one.with_nullable(True) for one in days.SCHEMA if one.name != without])
    put(f"daily/{month_of(first).place}", pa.Table.from_pylist(rows, schema))


def write_predictions(day: date, windows: int) -> None:
    start = datetime(day.year, day.month, day.day)
    rows = [
        {"device_id": "w-1", "window_start": start + timedelta(seconds=10 * k), "probabilities": [0.5, 0.5]}
        for k in range(windows)
    ]
    known = [one for one in predictions.SCHEMA if one.name in ("device_id", "window_start")]
    lists = [one for one in predictions.SCHEMA if pa.types.is_list(one.type)][:1]
    named = [{**row, lists[0].name: [0.5]} for row in rows]
    put(f"predictions/date={day}/predictions.parquet", pa.Table.from_pylist(named, pa.schema(known + lists)))


def counts(database: OwnRedshift) -> tuple[int, int]:
    """Rows of daily records, and of predictions."""
    return tuple(database.rows(f"SELECT count(*) FROM {name}")[0][0] for name in ("daily", "predictions"))


def test_a_file_is_loaded_once_and_a_changed_one_again(database: OwnRedshift) -> None:
    write_days(date(2026, 1, 5), 3)
    write_days(date(2026, 2, 5), 2)
    write_predictions(date(2026, 1, 5), 4)
    report = warehouse.load(SETTINGS)
    assert [(one.table, one.rows) for one in report.loaded] == [
        ("daily", 3),
        ("daily", 2),
        ("predictions", 4),
    ]
    assert counts(database) == (5, 4)
    before = len(database.transactions)
    again = warehouse.load(SETTINGS)
    assert (again.loaded, again.kept, counts(database)) == ((), 3, (5, 4))
    assert not [one for one in database.transactions[before:] if any("COPY" in text for text in one)]
    write_days(date(2026, 1, 5), 1)
    assert [one.rows for one in warehouse.load(SETTINGS).loaded] == [1]
    assert counts(database) == (3, 4), "two people left the file, and February stays"
    ledger = database.rows(f"SELECT rows_in_file, rows_loaded FROM {warehouse.LEDGER} ORDER BY loaded_at")
    assert ledger == [(3, 3), (2, 2), (4, 4), (1, 1)]


@pytest.mark.parametrize(
    "statement", ["CREATE TEMP", "COPY", "SELECT 1 /", "DELETE", "INSERT INTO daily", "DROP"]
)
def test_a_load_that_fails_has_no_effect_and_goes_on(database: OwnRedshift, statement: str) -> None:
    write_days(date(2026, 1, 5), 3)
    warehouse.load(SETTINGS)
    write_days(date(2026, 1, 5), 5)
    database.fail_at = statement
    with pytest.raises(StoreError, match="told to fail"):
        warehouse.load(SETTINGS)
    assert counts(database)[0] == 3
    assert [one.rows for one in warehouse.load(SETTINGS).loaded] == [5]
    assert counts(database)[0] == 5


def test_rows_that_do_not_arrive_end_the_load(database: OwnRedshift, monkeypatch: pytest.MonkeyPatch) -> None:
    write_days(date(2026, 1, 5), 3)
    real = warehouse.statements
    monkeypatch.setattr(warehouse, "statements", lambda *given: real(*given[:-1], given[-1] + 1))
    with pytest.raises(StoreError, match="division by zero"):
        warehouse.load(SETTINGS)
    assert counts(database) == (0, 0)


def test_files_and_tables_of_former_versions(database: OwnRedshift) -> None:
    write_days(date(2026, 1, 5), 2, without="steps")
    warehouse.load(SETTINGS)
    assert database.rows("SELECT DISTINCT steps FROM daily") == [(None,)]
    database.rows('ALTER TABLE daily DROP COLUMN "steps"')
    write_days(date(2026, 2, 5), 1)
    warehouse.load(SETTINGS)
    assert counts(database) == (3, 0)


@pytest.mark.parametrize(
    ("part", "match"),
    [({"lake": {"folder": "lake"}}, r"lake\.folder"), ({"cloud": {"redshift": None}}, "redshift")],
)
def test_what_is_missing_is_said(part: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        warehouse.load(replaced(SETTINGS, **part))
