"""sql/databases.sql does its work for an administrator who is no superuser, as those of RDS and Cloud SQL are."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from own_settings import replaced
from psycopg2 import sql

from activitymodule import settings as config
from activitymodule.embedded.postgres import Postgres
from activitymodule.settings import Settings

pytestmark = pytest.mark.integration
SCRIPT = config.project_root() / "sql" / "databases.sql"
NAMES = ("activity", "mlflow", "airflow")


@pytest.fixture
def administrator(stack: Any) -> Iterator[str]:
    """A role that may make roles and databases, and is nobody else."""
    stack.up()
    name = f"administrator_{secrets.token_hex(4)}"
    with closing(Postgres(stack.settings).connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("create role {} login createrole createdb password 'x'").format(sql.Identifier(name))
        )
        yield name
        for database in NAMES:
            cursor.execute(
                sql.SQL("drop database if exists {} with (force)").format(
                    sql.Identifier(f"{name}_{database}")
                )
            )
        cursor.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(f"{name}_activity")))
        cursor.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def run(environment: dict[str, str], script: Path, password: str) -> None:
    """As its first lines say."""
    verb = [sys.executable, "-m", "activitymodule", "db", "psql"]
    subprocess.run(
        [*verb, "--", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(script)],
        env={**environment, "STORE_PASSWORD": password},
        check=True,
    )


def test_user_and_databases_are_made_and_made_again(
    stack: Any, administrator: str, environment_of: Callable[[Settings], dict[str, str]], tmp_path: Path
) -> None:
    whose = {"user": administrator, "password": "x", "database": "postgres"}
    environment = environment_of(replaced(stack.settings, store=whose))
    # the stack has these names already: the same script with names of this test
    text = SCRIPT.read_text()
    for name in NAMES:
        text = text.replace(f"'{name}'", f"'{administrator}_{name}'")
    text = text.replace(" activity", f" {administrator}_activity")
    script = tmp_path / "databases.sql"
    script.write_text(text)
    for password in ('it\'s "quoted" \\ once', "another"):
        run(environment, script, password)
        for database in NAMES:
            with (
                closing(
                    psycopg2.connect(
                        host=stack.settings.store.host,
                        port=stack.settings.store.port,
                        user=f"{administrator}_activity",
                        password=password,
                        dbname=f"{administrator}_{database}",
                    )
                ) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute("create table if not exists ours (n int)")
