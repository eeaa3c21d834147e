"""Configuration of the embedded Airflow: airflow.cfg, its keys and passwords, and its database.

airflow.cfg is a file of mode 600 in airflow.folder, written before every start; its keys are made once and kept.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import secrets
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg2
from cryptography.fernet import Fernet

from activitymodule.embedded.postgres import AIRFLOW_DATABASE
from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.orchestration.client import password
from activitymodule.settings import Settings, resolve, resource


def release() -> str:
    """The version of Airflow that is installed; looked up without importing it, which takes seconds."""
    try:
        return importlib.metadata.version("apache-airflow-core")
    except importlib.metadata.PackageNotFoundError:
        raise ServiceUnavailableError("Airflow is missing; run ./init.sh") from None


def dags_folder() -> Path:
    """Where the DAG files are."""
    return resource("airflow/dags")


def database_uri(config: Settings) -> str:
    """SQLAlchemy's address of Airflow's database, with the password."""
    store = config.store
    host = f"[{store.host}]" if ":" in store.host else store.host
    secret = quote(store.password.get_secret_value() if store.password else "", safe="")
    return (
        f"postgresql+psycopg2://{quote(store.user, safe='')}:{secret}@{host}:{store.port}/{AIRFLOW_DATABASE}"
        f"?sslmode={store.sslmode}"
    )


def connect(config: Settings) -> psycopg2.extensions.connection:
    """A connection to Airflow's database."""
    store = config.store
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


def configuration(config: Settings) -> dict[str, dict[str, object]]:
    """airflow.cfg as a table of sections. Sized for a small machine: few processes, few connections."""
    folder, own = resolve(config.airflow.folder), config.airflow
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
            "sql_alchemy_conn": database_uri(config),
            # no asyncpg: it serves tasks that wait asynchronously, and there are none
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
            # Airflow sets the modes of tasks' logs itself, whatever the umask
            "file_task_handler_new_folder_permissions": "0o700",
            "file_task_handler_new_file_permissions": "0o600",
            "colored_console_log": False,
            "uvicorn_logging_level": "WARNING",
            # without a line for every probe and heartbeat
            "namespace_levels": "http.access=WARNING",
            "dag_processor_child_process_log_directory": folder / "logs" / "dag_processor",
        },
        "scheduler": {
            "catchup_by_default": False,
            # a killed scheduler's tasks are found, and repeated, within a minute
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


def write_configuration(config: Settings) -> None:
    """Make airflow.folder with airflow.cfg and the password file, each of mode 600; repeated, it gives the same."""
    folder = resolve(config.airflow.folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        lines = ["# Written before every start from the project's settings; changes here are lost."]
        for section, keys in configuration(config).items():
            # a percent sign would start a reference
            lines += ["", f"[{section}]", *(f"{k} = {str(v).replace('%', '%%')}" for k, v in keys.items())]
        _write_secret(folder / "airflow.cfg", "\n".join(lines) + "\n")
        passwords = {config.airflow.user: password(config)}
        _write_secret(folder / "passwords.json", json.dumps(passwords) + "\n")
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder} ({error.strerror}); "
            "set ACTIVITY_AIRFLOW__FOLDER to a folder that can be written"
        ) from error


def _own_secrets(folder: Path) -> dict[str, str]:
    """Keys of this Airflow: made once, kept in a file of mode 600."""
    path = folder / "secrets.json"
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(path.read_text(encoding="utf-8"))
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
    """Replace a file whole; nobody else can read it at any time."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
