"""The embedded model registry: an MLflow server on the embedded PostgreSQL, its artifacts in a folder."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import sys
from urllib.parse import quote, urlsplit

from typing_extensions import override

from activitymodule.embedded.postgres import REGISTRY_DATABASE
from activitymodule.embedded.processes import Command
from activitymodule.embedded.service import Service
from activitymodule.errors import ConfigError
from activitymodule.registry.server import OPEN
from activitymodule.settings import location, resolve


class Registry(Service):
    """MLflow's server."""

    name = "mlflow"
    title = "MLflow"
    setting = "registry.uri"
    needs = ("postgres",)
    stop_seconds = 15

    @property
    @override
    def host(self) -> str:
        return urlsplit(self.settings.registry.uri).hostname or ""

    @property
    @override
    def port(self) -> int:
        return urlsplit(self.settings.registry.uri).port or 80

    @property
    @override
    def ours(self) -> bool:
        return super().ours and urlsplit(self.settings.registry.uri).scheme == "http"

    @override
    def check(self) -> None:
        own = self.settings.registry
        if own.authentication and importlib.util.find_spec("flask_wtf") is None:
            raise ConfigError("the package Flask-WTF is missing, which MLflow's sign-in needs; run ./init.sh")
        if own.authentication and not (own.password and own.password.get_secret_value()):
            raise ConfigError(
                "the setting registry.password is missing; run ./init.sh, which writes ACTIVITY_REGISTRY__PASSWORD to "
                ".env, or set registry.authentication to false: then every user of this machine may change models"
            )

    @override
    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if "://" not in self.settings.local.artifacts:
            resolve(self.settings.local.artifacts).mkdir(mode=0o700, parents=True, exist_ok=True)

    @override
    def command(self) -> Command:
        store, own = self.settings.store, self.settings.registry
        host = f"[{store.host}]" if ":" in store.host else store.host
        # the password goes by the environment: arguments can be read by every user of the machine
        database = f"postgresql+psycopg2://{quote(store.user)}@{host}:{store.port}/{REGISTRY_DATABASE}"
        hosts = [f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")]
        argv = [
            *[sys.executable, "-m", "activitymodule.registry.server"],
            *([] if own.authentication else [OPEN]),
            *["--host", self.host, "--port", str(self.port), "--workers", "1"],
            *["--backend-store-uri", database],
            *["--artifacts-destination", location(self.settings.local.artifacts)],
            *["--allowed-hosts", ",".join(hosts)],
            # without a line for every probe of the supervisor
            *["--uvicorn-opts", "--no-access-log"],
        ]
        env = {
            "MLFLOW_AUTH_ADMIN_USERNAME": own.user,
            "MLFLOW_AUTH_ADMIN_PASSWORD": own.password.get_secret_value() if own.password else "",
            "PGPASSWORD": store.password.get_secret_value() if store.password else "",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            # its job runner, for the evaluation of language models, is not used
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "GIT_PYTHON_REFRESH": "quiet",
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
        }
        return Command(argv, env, folder=self.folder)

    @override
    def healthy(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            talk = http.client.HTTPConnection(self.host, self.port, timeout=2)
            try:
                talk.request("GET", "/health")
                return talk.getresponse().status == 200
            finally:
                talk.close()
        return False
