"""The committed schema and documents agree with the code."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from activitymodule.jobs.schema import DOCUMENT, SCHEMA_FILE, SQL_DOCUMENT, app, document_text, schema_text
from activitymodule.settings import project_root
from activitymodule.telemetry.schema import FIELD_NAMES, arrow_schema, json_schema, spark_schema


def test_committed_schema() -> None:
    assert (project_root() / SCHEMA_FILE).read_text() == schema_text()


def test_committed_tables() -> None:
    for name in (DOCUMENT, SQL_DOCUMENT):
        document = (project_root() / name).read_text()
        assert document == document_text(document, name)


def test_one_table_makes_all_schemas() -> None:
    assert tuple(arrow_schema().names) == FIELD_NAMES
    assert tuple(column.split()[0] for column in spark_schema().split(", ")) == FIELD_NAMES
    assert tuple(json_schema()["$defs"]["reading"]["properties"]) == FIELD_NAMES


def test_verb_prints_the_schema() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json_schema()
    assert CliRunner().invoke(app, ["--check"]).exit_code == 0
