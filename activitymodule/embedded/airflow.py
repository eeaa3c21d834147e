"""The embedded Airflow, on the embedded PostgreSQL, and a small client of any Airflow's REST interface.

Three services, none of which starts with plain `activity up`: the API server (pages and REST), the scheduler
(which runs the tasks, LocalExecutor) and the DAG processor. There is no triggerer: nothing here is deferred, and
what waits for a person's approval waits in the database.

`python -m activitymodule.embedded.airflow PART` is what the supervisor starts: it sees to the tables, one process at a
time, and becomes the part. The configuration is a file of mode 600 in the settings' airflow.folder, made anew
before every start; its secrets are made once and stay.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.metadata
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlencode, urlsplit

from activitymodule.embedded.postgres import AIRFLOW_DATABASE, Postgres
from activitymodule.embedded.processes import Command
from activitymodule.embedded.service import Service
from activitymodule.embedded.state import lock, replace
from activitymodule.errors import ActivityError, ConfigError, DataError, ServiceUnavailableError
from activitymodule.settings import Settings, project_root, resolve

RETRAIN = "retrain_activity_model"
"""The DAG that the console's button and new labels set off."""
LABELS = "new_labels"
"""The asset whose events say that enough gold labels came."""
HEARTBEAT_SECONDS = 30
"""A scheduler or DAG processor that told nothing for so long counts as dead, as in Airflow itself."""


# ---- the services


class _Part(Service):
    """One process of Airflow's."""

    optional = True
    needs: ClassVar[tuple[str, ...]] = ("postgres",)
    setting = "airflow.uri"
    part: ClassVar[str]
    job: ClassVar[str] = ""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.begun: float | None = None

    @property
    def folder(self) -> Path:
        return resolve(self.settings.airflow.folder)

    @property
    def host(self) -> str:
        return urlsplit(self.settings.airflow.uri).hostname or ""

    @property
    def port(self) -> int | None:
        return None

    @property
    def ours(self) -> bool:
        return super().ours and urlsplit(self.settings.airflow.uri).scheme == "http"

    def check(self) -> None:
        release()
        _password(self.settings)
        if not dags_folder().is_dir():
            raise ConfigError(
                f"there is no folder of DAGs at {dags_folder()}; restore it with `git checkout`"
            )

    def prepare(self) -> None:
        self.begun = time.time()
        write_configuration(self.settings)

    def command(self) -> Command:
        env = {
            **environment_of(self.settings),
            "AIRFLOW_HOME": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
            # tasks talk to the API server on this machine, whatever proxy the rest of the world needs
            **{name: _no_proxy(os.environ.get(name, "")) for name in ("NO_PROXY", "no_proxy")},
            # or a process that changes its title writes over its environment, and is not known as the stack's
            "SPT_NOENV": "1",
            "SCARF_ANALYTICS": "false",
            "DO_NOT_TRACK": "true",
            # for forked tasks on macOS, whose system libraries otherwise end them
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
        }
        return Command([sys.executable, "-m", __name__, self.part], env, folder=self.folder)

    def healthy(self) -> bool:
        """Whether this part told of itself in the database within the last half minute, and since it was started."""
        import psycopg2

        try:
            with contextlib.closing(connect(self.settings)) as connection, connection.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 FROM job WHERE job_type = %s AND state = 'running' AND start_date >= to_timestamp(%s)"
                    " AND latest_heartbeat > now() - make_interval(secs => %s)",
                    (self.job, self.begun or 0, HEARTBEAT_SECONDS),
                )
                return cursor.fetchone() is not None
        except psycopg2.Error:
            return False


class Airflow(_Part):
    name = "airflow"
    title = "Airflow"
    part = "api-server"
    stop_seconds = 15

    @property
    def port(self) -> int | None:
        try:
            return urlsplit(self.settings.airflow.uri).port or 80
        except ValueError as error:
            raise ConfigError(f"the setting airflow.uri has no valid port: {error}") from None

    def healthy(self) -> bool:
        with contextlib.suppress(ActivityError):
            return bool(_health(self.settings)["metadatabase"]["status"] == "healthy")
        return False


class Scheduler(_Part):
    name = "airflow-scheduler"
    title = "Airflow's scheduler"
    part = "scheduler"
    job = "SchedulerJob"
    needs = ("postgres", "mlflow")  # its tasks take models from the registry, and put them there
    # it waits for the tasks that run; what is not done by then is done again by the next run
    stop_seconds = 20


class DagProcessor(_Part):
    name = "airflow-dags"
    title = "Airflow's DAG processor"
    part = "dag-processor"
    job = "DagProcessorJob"
    stop_seconds = 15


NAMES = (Airflow.name, Scheduler.name, DagProcessor.name)


def release() -> str:
    """The version of Airflow that is installed. Looked up without importing it, which takes seconds."""
    try:
        return importlib.metadata.version("apache-airflow-core")
    except importlib.metadata.PackageNotFoundError:
        raise ServiceUnavailableError("Airflow is missing; run ./init.sh") from None


def dags_folder() -> Path:
    return project_root() / "airflow" / "dags"


def _password(settings: Settings) -> str:
    secret = settings.airflow.password
    if secret is None or not secret.get_secret_value():
        raise ConfigError(
            "the setting airflow.password is missing; run ./init.sh, "
            "which writes ACTIVITY_AIRFLOW__PASSWORD to .env"
        )
    return str(secret.get_secret_value())


def _no_proxy(there: str) -> str:
    return ",".join(dict.fromkeys([*filter(None, there.split(",")), "127.0.0.1", "localhost", "::1"]))


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment in which a process of ours sees just these settings (a task of Airflow's). Holds secrets."""
    from activitymodule.embedded.stack import reveal

    variables = {"ACTIVITY_HOME": str(project_root())}
    for section, keys in reveal(settings).items():
        for key, value in keys.items():
            # secrets are read as the text they are, all else as YAML, of which JSON is a part
            secret = key.endswith(("password", "secret"))
            if not (secret and value is None):
                text = value if secret else json.dumps(value)
                variables[f"ACTIVITY_{section}__{key}".upper()] = text
    return variables


# ---- its configuration and tables


def _own_secrets(folder: Path) -> dict[str, str]:
    """Keys of this Airflow: made once, kept in a file of mode 600."""
    from cryptography.fernet import Fernet

    path = folder / "secrets.json"
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(path.read_text())
        if all(kept.get(name) for name in ("fernet", "jwt", "session")):
            return {str(name): str(value) for name, value in kept.items()}
    made = {
        "fernet": Fernet.generate_key().decode(),
        "jwt": secrets.token_urlsafe(64),
        "session": secrets.token_urlsafe(32),
    }
    _write_secret(path, json.dumps(made) + "\n")
    return made


def _write_secret(path: Path, text: str) -> None:
    """Replaces a file whole; nobody else can read it at any time."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def database_uri(settings: Settings) -> str:
    """SQLAlchemy's address of Airflow's database, with the password."""
    store = settings.store
    host = f"[{store.host}]" if ":" in store.host else store.host
    password = quote(store.password.get_secret_value() if store.password else "", safe="")
    return (
        f"postgresql+psycopg2://{quote(store.user, safe='')}:{password}@{host}:{store.port}/{AIRFLOW_DATABASE}"
        f"?sslmode={store.sslmode}"
    )


def configuration(settings: Settings) -> dict[str, dict[str, Any]]:
    """airflow.cfg as a table of sections. Sized for a small machine: few processes, few connections."""
    folder, own = resolve(settings.airflow.folder), settings.airflow
    address, keys = urlsplit(own.uri), _own_secrets(folder)
    return {
        "core": {
            "dags_folder": dags_folder(),
            "plugins_folder": folder / "plugins",
            "executor": "LocalExecutor",
            "parallelism": own.workers,
            "max_active_tasks_per_dag": own.workers,
            "mp_start_method": "fork",
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "default_timezone": "utc",
            "hostname_callable": "socket.gethostname",
            "fernet_key": keys["fernet"],
            "simple_auth_manager_users": f"{own.user}:admin",
            "simple_auth_manager_passwords_file": folder / "passwords.json",
            "execution_api_server_url": f"{own.uri.rstrip('/')}/execution/",
        },
        "database": {
            "sql_alchemy_conn": database_uri(settings),
            # no asyncpg: it would serve what is used by nobody here, tasks that wait asynchronously
            "sql_alchemy_conn_async": "",
            "sql_alchemy_pool_size": 5,
            "sql_alchemy_max_overflow": 5,
        },
        "api": {
            "host": address.hostname,
            "port": address.port or 80,
            "base_url": own.uri.rstrip("/"),
            "workers": 1,
            "secret_key": keys["session"],
            "expose_config": False,
            "instance_name": "activity",
        },
        "api_auth": {"jwt_secret": keys["jwt"], "jwt_issuer": "activity"},
        "logging": {
            "base_log_folder": folder / "logs",
            "colored_console_log": False,
            "uvicorn_logging_level": "WARNING",
            # without a line for every probe and heartbeat
            "namespace_levels": "http.access=WARNING",
            "dag_processor_child_process_log_directory": folder / "logs" / "dag_processor",
        },
        "scheduler": {
            "catchup_by_default": False,
            # a killed scheduler's tasks are found, and done again, within a minute
            "orphaned_tasks_check_interval": 30,
            "task_instance_heartbeat_timeout": 60,
        },
        "dag_processor": {
            "parsing_processes": 1,
            "min_file_process_interval": 60,
            "refresh_interval": 60,
            "print_stats_interval": 600,
            "dag_bundle_storage_path": folder / "bundles",
        },
    }


def write_configuration(settings: Settings) -> None:
    """Makes airflow.folder with airflow.cfg and the password file, each of mode 600; again and again the same."""
    folder = resolve(settings.airflow.folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        lines = ["# Written before every start from the project's settings; changes here are lost."]
        for section, keys in configuration(settings).items():
            # a percent sign would be the start of a reference
            lines += ["", f"[{section}]", *(f"{k} = {str(v).replace('%', '%%')}" for k, v in keys.items())]
        _write_secret(folder / "airflow.cfg", "\n".join(lines) + "\n")
        passwords = {settings.airflow.user: _password(settings)}
        _write_secret(folder / "passwords.json", json.dumps(passwords) + "\n")
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder} ({error.strerror}); "
            "set ACTIVITY_AIRFLOW__FOLDER to a folder that can be written"
        ) from error


def connect(settings: Settings) -> Any:
    """A connection of psycopg2 to Airflow's database."""
    import psycopg2

    store = settings.store
    return psycopg2.connect(
        host=store.host,
        port=store.port,
        dbname=AIRFLOW_DATABASE,
        user=store.user,
        password=store.password.get_secret_value() if store.password else None,
        sslmode=store.sslmode,
        connect_timeout=5,
        application_name="activity-airflow",
    )


def _head(settings: Settings) -> str | None:
    """The newest migration that was applied to Airflow's database."""
    import psycopg2

    try:
        with contextlib.closing(connect(settings)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.alembic_version')")
            if cursor.fetchone()[0] is None:
                return None
            cursor.execute("SELECT version_num FROM alembic_version")
            row = cursor.fetchone()
            return row[0] if row else None
    except psycopg2.OperationalError as error:
        if "does not exist" not in str(error):
            raise ServiceUnavailableError(
                f"PostgreSQL does not let Airflow in: {str(error).strip()}"
            ) from error
    try:
        # a stack that was set up before there was an Airflow
        Postgres(settings).settle()
        return None
    except (psycopg2.Error, ActivityError) as error:
        raise ServiceUnavailableError(
            f"there is no database {AIRFLOW_DATABASE} at {settings.store.host} and it cannot be made "
            f"({str(error).strip()}); make it with `CREATE DATABASE {AIRFLOW_DATABASE} OWNER {settings.store.user}`"
        ) from error


def migrate(settings: Settings, environ: Mapping[str, str]) -> None:
    """Makes Airflow's tables, or brings them up to date; several processes may ask at once."""
    folder = resolve(settings.airflow.folder)
    record, installed = folder / "tables.json", release()
    with lock(folder / "migrate.lock", wait=True):
        try:
            known = json.loads(record.read_text())
        except (OSError, ValueError):
            known = {}
        head = _head(settings)
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
        replace(record, {"airflow": installed, "head": _head(settings)})


def main(arguments: Sequence[str]) -> int:
    """Becomes one part of Airflow, with the settings of the environment, once the tables are there."""
    from activitymodule.settings import load

    part = arguments[0]
    # what the user has set for another Airflow of theirs is not for this one
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


# ---- the REST interface (version 2)


@dataclass(frozen=True)
class Run:
    """One run of a DAG. state: queued, running, success or failed; times are UTC."""

    dag_id: str
    run_id: str
    state: str
    kind: str
    conf: dict[str, Any]
    begun_at: datetime | None
    ended_at: datetime | None

    @property
    def over(self) -> bool:
        return self.state in ("success", "failed")


@dataclass(frozen=True)
class Task:
    """One task of a run. state as Airflow names it (`awaiting_input`: a person must say yes or no)."""

    task_id: str
    state: str | None
    tries: int


def _ask(
    settings: Settings,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    token: str | None = None,
    seconds: float = 30,
) -> Any:
    """One request; returns the JSON answered. Errors are sentences: not there, not let in, no such thing, refused."""
    uri = settings.airflow.uri.rstrip("/")
    request = urllib.request.Request(
        uri + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Accept": "application/json",
            "Content-Type": "application/json",
            **({"Authorization": f"Bearer {token}"} if token else {}),
        },
    )
    # no proxy: the address is this machine's, or that of a server inside
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as answer:
            text = answer.read()
            return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        said = _said(error)
        if error.code in (401, 403):
            raise ConfigError(
                f"Airflow at {uri} does not let {settings.airflow.user} in ({said}); airflow.password is not the "
                "one it was started with: `activity airflow down`, then `activity airflow up`"
            ) from None
        if error.code == 404:
            raise ConfigError(f"Airflow at {uri} knows nothing of it: {said}") from None
        if error.code in (400, 409, 422):
            raise DataError(f"Airflow refuses it: {said}") from None
        raise ServiceUnavailableError(
            f"Airflow at {uri} failed ({error.code}: {said}); see `activity logs airflow`"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServiceUnavailableError(
            f"Airflow at {uri} does not answer ({reason}); start it with `activity airflow up`"
        ) from error


def _said(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    with contextlib.suppress(ValueError, AttributeError):
        detail = json.loads(text).get("detail")
        if isinstance(detail, list):
            return "; ".join(f"{'.'.join(map(str, d.get('loc', ())))}: {d.get('msg')}" for d in detail)
        if detail:
            return str(detail)
    return text.strip()[:300] or str(error.reason)


def _health(settings: Settings) -> dict[str, Any]:
    return dict(_ask(settings, "GET", "/api/v2/monitor/health", seconds=5))


def _token(settings: Settings) -> str:
    body = {"username": settings.airflow.user, "password": _password(settings)}
    return str(_ask(settings, "POST", "/auth/token", body)["access_token"])


def _api(settings: Settings, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    return _ask(settings, method, f"/api/v2{path}", body, _token(settings))


def _dag(dag_id: str) -> str:
    return f"/dags/{quote(dag_id, safe='')}"


def _run_path(dag_id: str, run_id: str) -> str:
    return f"{_dag(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def healthy(settings: Settings) -> bool:
    """Whether Airflow answers and its scheduler and DAG processor are at work: a run triggered now would run."""
    try:
        told = _health(settings)
    except ActivityError:
        return False
    return all(
        told.get(part, {}).get("status") == "healthy"
        for part in ("metadatabase", "scheduler", "dag_processor")
    )


def _as_run(told: Mapping[str, Any]) -> Run:
    def moment(text: str | None) -> datetime | None:
        return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None

    return Run(
        told["dag_id"],
        told["dag_run_id"],
        told["state"],
        told["run_type"],
        told.get("conf") or {},
        moment(told.get("start_date")),
        moment(told.get("end_date")),
    )


def trigger(settings: Settings, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
    """Begins a run of a DAG with these Params and returns its run id.

    Raises ServiceUnavailableError where Airflow does not answer, ConfigError for an unknown DAG or a wrong password,
    DataError for Params it refuses.
    """
    body = {"logical_date": None, "conf": dict(conf or {})}
    return str(_api(settings, "POST", f"{_dag(dag_id)}/dagRuns", body)["dag_run_id"])


def run_of(settings: Settings, dag_id: str, run_id: str) -> Run:
    """One run as it is now."""
    return _as_run(_api(settings, "GET", _run_path(dag_id, run_id)))


def run_state(settings: Settings, dag_id: str, run_id: str) -> str:
    """queued, running, success or failed."""
    return run_of(settings, dag_id, run_id).state


def runs(settings: Settings, dag_id: str, limit: int = 20) -> list[Run]:
    """The newest runs of a DAG, the newest first."""
    query = urlencode({"limit": limit, "order_by": "-run_after"})
    return [_as_run(told) for told in _api(settings, "GET", f"{_dag(dag_id)}/dagRuns?{query}")["dag_runs"]]


def tasks(settings: Settings, dag_id: str, run_id: str) -> list[Task]:
    """The tasks of a run, with their states."""
    told = _api(settings, "GET", f"{_run_path(dag_id, run_id)}/taskInstances?limit=100")
    return [Task(one["task_id"], one["state"], one["try_number"]) for one in told["task_instances"]]


def held_back(settings: Settings, dag_id: str, run_id: str) -> str:
    """A sentence where another run of the DAG waits for a person, so that this one does not begin before; else ''."""
    for other in runs(settings, dag_id):
        if other.run_id == run_id or other.state != "running":
            continue
        if any(task.state == "awaiting_input" for task in tasks(settings, dag_id, other.run_id)):
            return (
                f"it does not begin before the run {other.run_id} is over, which waits for a person: "
                f"`activity airflow answer {dag_id} {other.run_id}`, or with --reject to say no"
            )
    return ""


def wait(settings: Settings, dag_id: str, run_id: str, seconds: float = 3600, pause: float = 1.0) -> Run:
    """Waits until a run is over; ServiceUnavailableError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (run := run_of(settings, dag_id, run_id)).over:
        if time.monotonic() > deadline:
            raise ServiceUnavailableError(
                f"the run {run_id} of {dag_id} is still {run.state} after {seconds:.0f} s"
            )
        time.sleep(pause)
    return run


def rerun(settings: Settings, dag_id: str, run_id: str) -> None:
    """Clears the failed tasks of a run, and what follows them: the run goes on where it failed, under its id."""
    _api(settings, "POST", f"{_run_path(dag_id, run_id)}/clear", {"dry_run": False, "only_failed": True})


def answer(settings: Settings, dag_id: str, run_id: str, task_id: str, approve: bool) -> None:
    """Approves or rejects what a run waits for. DataError where it waits for nothing any more."""
    body = {"chosen_options": ["Approve" if approve else "Reject"], "params_input": {}}
    path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}/-1/hitlDetails"
    _api(settings, "PATCH", path, body)


def announce_labels(settings: Settings, labels: int) -> None:
    """Tells Airflow that enough gold labels came: an event of the asset, which sets off the retraining."""
    query = urlencode({"name_pattern": LABELS, "limit": 100})
    found = _api(settings, "GET", f"/assets?{query}")["assets"]
    numbers = [asset["id"] for asset in found if asset["name"] == LABELS]
    if not numbers:
        raise ConfigError(f"Airflow has no asset {LABELS} yet; has it read {dags_folder()}?")
    _api(settings, "POST", "/assets/events", {"asset_id": numbers[0], "extra": {"labels": labels}})


def errors(settings: Settings) -> list[str]:
    """What kept DAG files from being read, a sentence each."""
    told = _api(settings, "GET", "/importErrors?limit=100")["import_errors"]
    return [f"{one['filename']}: {one['stack_trace'].strip().splitlines()[-1]}" for one in told]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
