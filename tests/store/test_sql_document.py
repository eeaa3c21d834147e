"""docs/sql.md has every table, view and function of the migrated database, with its columns."""

from __future__ import annotations

import re

import pytest

from activitymodule.settings import project_root
from activitymodule.store.connection import Connection
from activitymodule.store.prediction_columns import COLUMNS
from activitymodule.store.queries import fetch_all

TEXT = (project_root() / "docs" / "sql.md").read_text()
RELATIONS = """
SELECT c.relname, array_agg(a.attname ORDER BY a.attnum)::text[]
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'p') AND NOT c.relispartition
GROUP BY c.relname
"""
# without the constructors of types
FUNCTIONS = """
SELECT proname, coalesce(proargnames, '{}') FROM pg_proc p
WHERE pronamespace = 'public'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'i')
"""
UNDOCUMENTED = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'p') AND NOT c.relispartition
  AND c.relname <> 'alembic_version'
  AND obj_description(c.oid) IS NULL
"""


@pytest.mark.integration
def test_every_table_view_and_function_is_documented(connection: Connection) -> None:
    documented = {
        name: [one.strip() for one in columns.split(",")]
        for name, columns in re.findall(r"^\*\*(\w+)\*\* \(`([^`]+)`\)", TEXT, re.MULTILINE)
    }
    documented["predictions"] = [column.name for column in COLUMNS]
    assert documented == {name: list(columns) for name, columns in fetch_all(connection, RELATIONS)}
    functions = dict(re.findall(r"^\*\*(\w+)\*\*`\(([^`]*)\)`", TEXT, re.MULTILINE))
    found = fetch_all(connection, FUNCTIONS)
    assert functions.keys() == {name for name, _ in found}
    for name, arguments in found:
        documented_arguments = [one.strip() for one in functions[name].split(",") if one.strip()]
        assert arguments[: len(documented_arguments)] == documented_arguments, name


@pytest.mark.integration
def test_every_table_and_view_has_a_comment(connection: Connection) -> None:
    assert fetch_all(connection, UNDOCUMENTED) == []
