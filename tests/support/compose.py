"""The system as services, from the real docker-compose.yml, with a project name, ports and passwords of its own."""

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

from containers import why_no_engine
from own_settings import replaced

from activitymodule import settings as config
from activitymodule.settings import Settings

ROOT = config.project_root()
FILE = ROOT / "docker-compose.yml"
PORTS = ("BROKER", "STORE", "REGISTRY", "SPARK", "CONSOLE", "AIRFLOW", "PROMETHEUS", "GRAFANA", "KAFKA_UI")
OPTIONAL_IMAGES = 300  # seconds that may be spent on fetching what is not ours
DEVICES = 12
PEOPLE = 3  # of the first champion: one that has seen hardly anybody is easily bettered


def missing_engine() -> str | None:
    """Why there can be no compose here; None where there can."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    if reason := why_no_engine():
        return reason
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=60)
    return "docker has no compose" if asked.returncode else None


def _secret(name: str) -> str:
    if name == "AIRFLOW_FERNET_KEY":
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    if name == "KAFKA_CLUSTER_ID":
        return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "x")
    return secrets.token_hex(16)


def environment_of_ones_own(people: int, devices: int, profiles: str) -> dict[str, str]:
    """Every variable that docker-compose.yml insists on, free ports, a small fleet and a quick first champion."""
    from activitymodule.embedded.processes import any_free_port

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
        return self.run("docker", "compose", *arguments, timeout=timeout, check=check)

    def run(self, *command: str, timeout: float = 600, check: bool = True) -> str:
        """A command that sees just this system; what it printed."""
        # the shell's own variables would go over those of the file
        kept = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_BUILDKIT")
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env={
                **{name: os.environ[name] for name in kept if name in os.environ},
                "COMPOSE_PROJECT_NAME": self.project,
                "COMPOSE_ENV_FILES": str(self.env_file),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and ran.returncode:
            raise AssertionError(
                f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stdout[-3000:]}\n{ran.stderr[-6000:]}"
            )
        return ran.stdout

    def write(self) -> None:
        """The environment as the file that compose reads, as .env is."""
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in self.environment.items()))

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
            registry={
                "uri": f"http://127.0.0.1:{value['REGISTRY_PORT']}",
                "password": value["ACTIVITY_REGISTRY__PASSWORD"],
            },
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
            ["docker", "exec", container, "sh", "-c", "kill -9 -1"],
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
