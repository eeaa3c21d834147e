"""The views: one text for three dialects, which gives the same rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from lake_files import day_file, prediction_file
from own_tables import OwnTables

from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.queries import execute, fetch_all
from activitymodule.workflows.cloud.warehouse import views
from activitymodule.workflows.cloud.warehouse.contents import CONTENTS

DIALECTS = ("postgres", "redshift", "bigquery")
AT = datetime(2026, 1, 5, tzinfo=UTC)
_PG = {
    pa.bool_(): "boolean",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.date32(): "date",
    pa.string(): "text",
}


def contents() -> dict[str, pa.Table]:
    """Rows of every table."""
    rows = {
        "daily": day_file(date(2026, 1, 5), ["p1", "p2"])[1],
        "predictions": prediction_file(date(2026, 1, 5), 4)[1],
        "annotations": [{"device_id": "w-1", "window_start": AT, "stratum": "audit"}] * 2,
        "gold_labels": [
            {"device_id": "w-1", "window_start": AT, "label": "walking"},
            {"device_id": "w-1", "window_start": AT.replace(second=10), "label": "walking"},
            {"device_id": "w-1", "window_start": AT.replace(second=20), "label": None},
        ],
        "model_versions": [
            {"name": "c", "version": "1", "serves": True, "feature_version": "f"},
            {"name": "energy", "version": "1", "serves": True},
        ],
    }
    made = {}
    for name, one in CONTENTS.items():
        schema = pa.schema([field.with_nullable(True) for field in one.table.schema])
        found = rows[name]
        if isinstance(found, list):
            empty: dict[str, Any] = dict.fromkeys(schema.names)
            found = pa.Table.from_pylist([{**empty, **row} for row in found], schema)
        made[name] = found
    return made


def sorted_rows(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    plain = [tuple(float(v) if isinstance(v, Decimal) else v for v in row) for row in rows]
    return sorted(plain, key=str)


EXPECTED = {
    "daily_by_person": 2,
    "predictions_by_day": 2,
    "label_agreement": 2,
    "model_use": 2,
}


def in_duckdb(dialect: str) -> dict[str, list[tuple[Any, ...]]]:
    own = OwnTables(dialect)
    own.rows("CREATE SCHEMA elsewhere")
    for name, rows in contents().items():
        own.take(f"elsewhere.{name}", rows)
    return {name: sorted_rows(own.execute(query)[1]) for name, query in views.queries("elsewhere.").items()}


def test_the_dialects_read_the_same_from_the_text() -> None:
    """Parsed by each and written as one of them, it is the same."""
    for name, query in views.queries().items():
        read = {sqlglot.transpile(query, read=one, write="bigquery")[0] for one in DIALECTS}
        # one writes IS NOT NULL, another NOT ... IS NULL
        assert len({sqlglot.transpile(one, read="bigquery", write="bigquery")[0] for one in read}) == 1, name
        assert not [one for one in ("FILTER", "::", '"', "`") if one in query], name


def test_they_give_what_they_say() -> None:
    found = in_duckdb("bigquery")
    assert {name: len(rows) for name, rows in found.items()} == EXPECTED
    by_person = {row[0]: row for row in found["daily_by_person"]}
    assert by_person["p2"][2:7] == (1, date(2026, 1, 5), date(2026, 1, 5), 1, 600.0)
    assert by_person["p1"][5] == 0, "590 minutes are no worn day"
    assert ("1", "audit", "walking", 1, 1, 1.0) in found["label_agreement"]
    assert ("1", None, "walking", 1, 0, 0.0) in found["label_agreement"]
    used = {row[0]: row[5] for row in found["model_use"]}
    assert used == {"c": 4, "energy": None}
    assert found == in_duckdb("redshift")


@pytest.fixture
def with_topics() -> bool:
    return False


@pytest.mark.integration
def test_postgresql_gives_the_same(fresh_settings: Settings) -> None:
    with session(fresh_settings) as connection:
        execute(connection, "CREATE SCHEMA elsewhere")
        for name, rows in contents().items():
            columns = [one for one in rows.schema if not pa.types.is_nested(one.type)]
            types = ", ".join(f'"{one.name}" {_pg(one.type)}' for one in columns)
            execute(connection, f"CREATE TABLE elsewhere.{name} ({types})")
            marks = ", ".join(["%s"] * len(columns))
            for row in rows.select([one.name for one in columns]).to_pylist():
                execute(connection, f"INSERT INTO elsewhere.{name} VALUES ({marks})", list(row.values()))
        found = {}
        for name, query in views.queries("elsewhere.").items():
            execute(connection, f"CREATE OR REPLACE VIEW elsewhere.{name} AS {query}")
            found[name] = sorted_rows(fetch_all(connection, f"SELECT * FROM elsewhere.{name}"))
    assert found == in_duckdb("bigquery")


def _pg(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamptz"
    return _PG.get(kind, "real" if kind == pa.float32() else "double precision")


def test_they_are_made_in_a_warehouse(warehouse: Any) -> None:
    """Also before anything was loaded, and again."""
    for _ in range(2):
        assert set(views.make(warehouse.settings)) == set(EXPECTED)
    for name in EXPECTED:
        assert warehouse.rows(f"SELECT * FROM {name}") == []


def test_names_of_bigquery_are_whole() -> None:
    query = views.queries("`a-project`.`activity`.")["model_use"]
    assert "`a-project`.`activity`.model_versions AS m" in query
