"""A process of the embedded Airflow: `python -m activitymodule.embedded.airflow_process PART`.

The supervisor starts it. It brings Airflow's tables up to date, one process at a time, and becomes the part.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

import psycopg2
from psycopg2 import errorcodes

from activitymodule.embedded.airflow_configuration import connect, release
from activitymodule.embedded.postgres import AIRFLOW_DATABASE, Postgres
from activitymodule.embedded.state import lock, replace
from activitymodule.errors import ActivityError, ServiceUnavailableError
from activitymodule.settings import Settings, load, resolve


def migrate(config: Settings, environ: Mapping[str, str]) -> None:
    """Make Airflow's tables, or bring them up to date; several processes may call this at once."""
    folder = resolve(config.airflow.folder)
    record, installed = folder / "tables.json", release()
    with lock(folder / "migrate.lock", wait=True):
        try:
            known = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        head = _head(config)
        if head is not None and known == {"airflow": installed, "head": head}:
            return
        print("making Airflow's tables, or bringing them up to date", flush=True)
        ended = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"], env=dict(environ), check=False
        )
        if ended.returncode:
            raise ServiceUnavailableError(
                f"Airflow's tables could not be made (code {ended.returncode}; the reason stands above); "
                f"if its database is of a newer Airflow, drop it: `DROP DATABASE {AIRFLOW_DATABASE}`"
            )
        replace(record, {"airflow": installed, "head": _head(config)})


def _head(config: Settings) -> str | None:
    """The newest migration that was applied to Airflow's database; the database is made where it is missing."""
    try:
        with contextlib.closing(connect(config)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.alembic_version')")
            if cursor.fetchone() == (None,):
                return None
            cursor.execute("SELECT version_num FROM alembic_version")
            row = cursor.fetchone()
            return row[0] if row else None
    except psycopg2.OperationalError as error:
        if not _no_database(error):
            raise ServiceUnavailableError(f"PostgreSQL refuses Airflow: {str(error).strip()}") from error
    try:
        # a stack that was set up before there was an Airflow
        Postgres(config).settle()
        return None
    except (psycopg2.Error, ActivityError) as error:
        raise ServiceUnavailableError(
            f"there is no database {AIRFLOW_DATABASE} at {config.store.host} and it cannot be made "
            f"({str(error).strip()}); make it with `CREATE DATABASE {AIRFLOW_DATABASE} OWNER {config.store.user}`"
        ) from error


def _no_database(error: psycopg2.OperationalError) -> bool:
    # psycopg2 gives no code to an error of the connection itself; its text has the server's
    return error.pgcode == errorcodes.INVALID_CATALOG_NAME or "does not exist" in str(error)


def main(arguments: Sequence[str]) -> int:
    """Become one part of Airflow, with the settings of the environment, once the tables are there."""
    part = arguments[0]
    # variables that the user set for another Airflow are not for this one
    home = os.environ["AIRFLOW_HOME"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    environ["AIRFLOW_HOME"] = home
    try:
        migrate(load(), environ)
    except ActivityError as error:
        print(f"ERROR: {error}", flush=True)
        return error.exit_code
    # tasks' logs are read from their files: no server for them, which would listen on every address
    extra = ["--skip-serve-logs"] if part == "scheduler" else []
    os.execve(sys.executable, [sys.executable, "-m", "airflow", part, *extra], environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
