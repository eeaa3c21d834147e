"""The embedded Airflow: three services on the embedded PostgreSQL, none of which starts with plain `activity up`.

The API server (pages and REST), the scheduler (which runs the tasks, LocalExecutor) and the DAG processor. There is no
triggerer: nothing here is deferred, and what waits for a person's approval waits in the database.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import psycopg2
from typing_extensions import override

from activitymodule.embedded import airflow_configuration as configuration
from activitymodule.embedded.processes import Command
from activitymodule.embedded.service import Service
from activitymodule.errors import ActivityError, ConfigError
from activitymodule.orchestration import client
from activitymodule.settings import Settings, environment_of, resolve

HEARTBEAT_SECONDS = 30
"""A scheduler or DAG processor without a heartbeat for so long counts as dead, as in Airflow itself."""


class _Part(Service):
    """One process of Airflow's."""

    optional = True
    needs: ClassVar[tuple[str, ...]] = ("postgres",)
    setting = "airflow.uri"
    part: ClassVar[str]
    job: ClassVar[str] = ""

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.begun: float | None = None

    @property
    @override
    def folder(self) -> Path:
        return resolve(self.settings.airflow.folder)

    @property
    @override
    def host(self) -> str:
        return urlsplit(self.settings.airflow.uri).hostname or ""

    @property
    @override
    def port(self) -> int | None:
        return None

    @property
    @override
    def ours(self) -> bool:
        return super().ours and urlsplit(self.settings.airflow.uri).scheme == "http"

    @override
    def check(self) -> None:
        configuration.release()
        client.password(self.settings)
        if not configuration.dags_folder().is_dir():
            raise ConfigError(
                f"there is no folder of DAGs at {configuration.dags_folder()}; restore it with `git checkout`"
            )

    @override
    def prepare(self) -> None:
        self.begun = time.time()
        configuration.write_configuration(self.settings)

    @override
    def command(self) -> Command:
        env = {
            **environment_of(self.settings),
            "AIRFLOW_HOME": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
            # tasks talk to the API server on this machine, whatever proxy other addresses need
            **{name: _no_proxy(os.environ.get(name, "")) for name in ("NO_PROXY", "no_proxy")},
            # or a process that changes its title overwrites its environment, which marks it as the stack's
            "SPT_NOENV": "1",
            "SCARF_ANALYTICS": "false",
            "DO_NOT_TRACK": "true",
            # for forked tasks on macOS, whose system libraries otherwise end them
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
        }
        module = "activitymodule.embedded.airflow_process"
        return Command([sys.executable, "-m", module, self.part], env, folder=self.folder)

    @override
    def healthy(self) -> bool:
        """Whether this part has a heartbeat in the database, since it was started and in the last half minute."""
        try:
            with (
                contextlib.closing(configuration.connect(self.settings)) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(
                    "SELECT 1 FROM job WHERE job_type = %s AND state = 'running' AND start_date >= to_timestamp(%s)"
                    " AND latest_heartbeat > now() - make_interval(secs => %s)",
                    (self.job, self.begun or 0, HEARTBEAT_SECONDS),
                )
                return cursor.fetchone() is not None
        except psycopg2.Error:
            return False


class Airflow(_Part):
    """The API server: pages and REST."""

    name = "airflow"
    title = "Airflow"
    part = "api-server"
    stop_seconds = 15

    @property
    @override
    def port(self) -> int | None:
        return urlsplit(self.settings.airflow.uri).port or 80

    @override
    def healthy(self) -> bool:
        with contextlib.suppress(ActivityError):
            return client.health(self.settings).get("metadatabase") == "healthy"
        return False


class Scheduler(_Part):
    """The scheduler, which runs the tasks."""

    name = "airflow-scheduler"
    title = "Airflow's scheduler"
    part = "scheduler"
    job = "SchedulerJob"
    needs = ("postgres", "mlflow")  # its tasks read models from the registry, and register them
    # it waits for the tasks that run; what is not done by then is repeated after the next start
    stop_seconds = 20


class DagProcessor(_Part):
    """The process that reads the DAG files."""

    name = "airflow-dags"
    title = "Airflow's DAG processor"
    part = "dag-processor"
    job = "DagProcessorJob"
    stop_seconds = 15


NAMES = (Airflow.name, Scheduler.name, DagProcessor.name)


def _no_proxy(value: str) -> str:
    return ",".join(dict.fromkeys([*filter(None, value.split(",")), "127.0.0.1", "localhost", "::1"]))
