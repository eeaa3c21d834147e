"""The system as services, from the real docker-compose.yml, under a project name, ports and passwords of a test's own."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from own_settings import replaced

from activitymodule import settings as config
from activitymodule.settings import Settings

ROOT = config.project_root()
FILE = ROOT / "docker-compose.yml"
PORTS = ("BROKER", "STORE", "REGISTRY", "SPARK", "CONSOLE", "AIRFLOW", "PROMETHEUS", "GRAFANA", "KAFKA_UI")
OPTIONAL_IMAGES = 300  # seconds that may be spent on fetching what is not ours
_DAY = 86_400


def missing_engine() -> str | None:
    """Why there can be no containers here; None where there can."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    for command, what in (
        (["docker", "version"], "no Docker engine answers"),
        (["docker", "compose", "version"], "docker has no compose"),
    ):
        if subprocess.run(command, capture_output=True, timeout=60).returncode:
            return what
    return None


def _secret(name: str) -> str:
    if name == "AIRFLOW_FERNET_KEY":
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    if name == "KAFKA_CLUSTER_ID":
        return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "x")
    return secrets.token_hex(16)


def environment_of_ones_own(people: int, devices: int, profiles: str) -> dict[str, str]:
    """Every variable that docker-compose.yml insists on, free ports, a small fleet and a quick first champion."""
    from activitymodule.local.processes import any_free_port

    wanted = re.findall(r"\$\{(\w+):\?", FILE.read_text())
    return {
        **{name: _secret(name) for name in dict.fromkeys(wanted)},
        **{f"{name}_PORT": str(any_free_port()) for name in PORTS},
        "COMPOSE_PROFILES": profiles,
        "FLEET_DEVICES": str(devices),
        "CHAMPION_PEOPLE": str(people),
        "CHAMPION_MINUTES": "10",
        "KAFKA_PARTITIONS": "2",
        "SHUFFLE_PARTITIONS": "2",
    }


@dataclass
class System:
    """One system: compose commands on it, and settings with which this process reaches it from outside."""

    project: str
    environment: dict[str, str]
    env_file: Path

    def compose(self, *arguments: str, timeout: float = 600, check: bool = True) -> str:
        """`docker compose ARGUMENTS`; what it printed."""
        command = ["docker", "compose", "--project-name", self.project, "--file", str(FILE)]
        command += ["--env-file", str(self.env_file), *arguments]
        # the shell's own variables would go over those of the file
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
        ran = subprocess.run(
            command,
            env={**inherited, "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "1")},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and ran.returncode:
            raise AssertionError(
                f"docker compose {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout[-3000:]}\n"
                f"{ran.stderr[-6000:]}"
            )
        return ran.stdout

    @property
    def settings(self) -> Settings:
        """Settings of the owner, from this machine."""
        value = self.environment
        return replaced(
            config.load({}),
            kafka={"bootstrap_servers": f"127.0.0.1:{value['BROKER_PORT']}"},
            store={
                "port": int(value["STORE_PORT"]),
                "user": "activity",
                "password": value["ACTIVITY_STORE__PASSWORD"],
                "database": "activity",
            },
            registry={"uri": f"http://127.0.0.1:{value['REGISTRY_PORT']}"},
            airflow={
                "uri": f"http://127.0.0.1:{value['AIRFLOW_PORT']}",
                "user": "admin",
                "password": value["ACTIVITY_AIRFLOW__PASSWORD"],
            },
        )

    def address(self, service: str) -> str:
        return f"http://127.0.0.1:{self.environment[f'{service.upper()}_PORT']}"

    def containers(self) -> list[dict[str, Any]]:
        """What `docker compose ps` says of every container, those that ended too."""
        told = self.compose("ps", "--all", "--format", "json")
        return [json.loads(line) for line in told.splitlines() if line.strip()]

    def kill(self, service: str) -> None:
        """kill -9 of every process of a service's first container but its init; its restart policy does the rest."""
        container = self.compose("ps", "--quiet", service).split()[0]
        before = self._restarts(container)
        subprocess.run(
            ["docker", "exec", "--user", "0", container, "sh", "-c", "kill -9 -1"],
            capture_output=True,
            timeout=60,
        )
        from ledger import until

        until(lambda: self._restarts(container) > before, f"the engine to start {service} again", timeout=120)

    @staticmethod
    def _restarts(container: str) -> int:
        told = subprocess.run(
            ["docker", "inspect", "--format", "{{.RestartCount}}", container],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(told.stdout)

    def wait_healthy(self, timeout: float = 600) -> None:
        """Everything that is to run runs and is healthy."""
        from ledger import until

        until(lambda: not self.unwell(), f"all services to be well, not {self.unwell()}", timeout, every=2)

    def unwell(self) -> list[str]:
        return [
            f"{one['Service']}: {one['State']} {one['Health']}"
            for one in self.containers()
            if not (
                (one["State"] == "running" and one["Health"] in ("healthy", ""))
                or (one["State"] == "exited" and one["ExitCode"] == 0)
            )
        ]
