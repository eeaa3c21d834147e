"""sql/roles.sql does its work for an administrator who is no superuser, as those of RDS and Cloud SQL are."""

from __future__ import annotations

import re
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
SCRIPT = config.project_root() / "sql" / "roles.sql"
OWNERS = {"activity": "owner", "airflow": "airflow", "mlflow": "registry"}  # of each database
ROLES = ("generator", "scorer", "console", "airflow", "registry", "reader", "sender")


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
        for database in OWNERS:
            cursor.execute(
                sql.SQL("drop database if exists {} with (force)").format(
                    sql.Identifier(f"{name}_{database}")
                )
            )
        for role in ("activity", *(f"role_{role}" for role in ROLES)):
            cursor.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(f"{name}_{role}")))
        cursor.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def test_roles_and_databases_are_made_and_made_again(
    stack: Any, administrator: str, environment_of: Callable[[Settings], dict[str, str]], tmp_path: Path
) -> None:
    whose = {"user": administrator, "password": "x", "database": "postgres"}
    environment = environment_of(replaced(stack.settings, store=whose))
    # the stack has these names already: the same script with names of this test
    text = re.sub(r"\bactivity_(\w+)", rf"{administrator}_role_\1", SCRIPT.read_text())
    script = tmp_path / "roles.sql"
    script.write_text(re.sub(r"\b(activity|airflow|mlflow)\b", rf"{administrator}_\1", text))
    for password in ('it\'s "quoted" \\ once', "another"):
        passwords = {f"STORE_{role.upper()}_PASSWORD": f"{password} {role}" for role in ("owner", *ROLES)}
        subprocess.run(
            [sys.executable, "-m", "activitymodule", "db", "psql", "--", "-X", "-f", str(script)],
            env={**environment, **passwords},
            check=True,
        )
        for database, owner in OWNERS.items():
            user = "activity" if owner == "owner" else f"role_{owner}"
            with (
                closing(
                    psycopg2.connect(
                        host=stack.settings.store.host,
                        port=stack.settings.store.port,
                        user=f"{administrator}_{user}",
                        password=f"{password} {owner}",
                        dbname=f"{administrator}_{database}",
                    )
                ) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute("create table if not exists ours (n int)")
