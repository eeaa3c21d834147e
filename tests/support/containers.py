"""The services in containers: PostgreSQL and Kafka as anybody runs them, MLflow beside them as a process.

`Containers` is to tests what `embedded.stack.Stack` is otherwise: settings, up, down, kill, wait_healthy.
TEST_SERVICES=containers chooses it. Run as a program, this module is the sweeper: see `_start_sweeper`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from activitymodule.embedded.broker import Broker
from activitymodule.embedded.postgres import SUPERUSER, Postgres
from activitymodule.embedded.processes import signal_group, spawn, wait_until
from activitymodule.embedded.registry import Registry
from activitymodule.errors import ServiceUnavailableError
from activitymodule.kafka import topics
from activitymodule.settings import Settings, resolve
from activitymodule.store.migrate import upgrade

POSTGRES_IMAGE = "postgres:18"
KAFKA_IMAGE = "apache/kafka:4.1.2"
# every container carries it, with the folder of its stack as the value
LABEL = "activity-tests"
UP_SECONDS = 120.0
# how long a killed container stays away, about as long as the embedded service: the engine takes connections for
# Kafka's port from the moment of the start, so that a shorter absence would be seen by nobody
AWAY_SECONDS = 5.0


def engine() -> Any:
    """A client of the Docker engine, found as testcontainers finds it."""
    from testcontainers.core.docker_client import DockerClient

    return DockerClient().client


def why_no_engine() -> str | None:
    """One sentence where no Docker engine answers, None where one does."""
    from docker.errors import DockerException

    try:
        engine().ping()
    except DockerException as error:
        return f"no Docker engine answers ({error}); start one, or use the embedded services"
    return None


def postgres_container(service: Postgres) -> Any:
    """PostgreSQL with the superuser, password and options of the embedded one, not started."""
    from testcontainers.community.postgres import PostgresContainer

    secret = service.settings.store.admin_password
    assert secret is not None
    container = PostgresContainer(
        POSTGRES_IMAGE, username=SUPERUSER, password=secret.get_secret_value(), dbname=SUPERUSER
    )
    # set like this since `with_bind_ports` takes a port only, and publishes it to the whole network
    container.ports = {"5432": ("127.0.0.1", service.port)}
    # text is sorted as the embedded one does, not by the image's language
    container.with_env("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --locale=C")
    options = [word for key, value in service.rules.items() for word in ("-c", f"{key}={value}")]
    return container.with_command(["postgres", *options])


def kafka_container(service: Broker) -> Any:
    """A Kafka node with the properties of the embedded one, not started. Clients are told the address of the host's
    port, which is why that must be known before; the node itself cannot reach it and has a listener of its own."""
    from testcontainers.core.container import DockerContainer

    properties = {
        **service.rules,
        "controller.quorum.voters": "1@localhost:9093",
        "listeners": "CLIENT://0.0.0.0:9092,CONTROLLER://localhost:9093,NODE://localhost:9094",
        "advertised.listeners": f"CLIENT://{service.address},NODE://localhost:9094",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,NODE:PLAINTEXT",
        "inter.broker.listener.name": "NODE",
        "controller.listener.names": "CONTROLLER",
    }
    container = DockerContainer(KAFKA_IMAGE)
    # as with PostgreSQL's
    container.ports = {"9092": ("127.0.0.1", service.port)}
    for key, value in properties.items():
        container.with_env(f"KAFKA_{key.upper().replace('.', '_')}", str(value))
    return container.with_env("KAFKA_HEAP_OPTS", f"-Xmx{service.settings.local.kafka_memory_megabytes}m")


class Containers:
    """PostgreSQL and Kafka in containers and MLflow as a process, at the addresses of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = resolve(settings.local.folder)
        self.postgres, self.kafka, self.mlflow = Postgres(settings), Broker(settings), Registry(settings)
        self.services = {one.name: one for one in (self.postgres, self.kafka, self.mlflow)}
        self._containers: dict[str, Any] = {}
        self._registry: subprocess.Popen[bytes] | None = None
        self._sweeper: subprocess.Popen[bytes] | None = None

    def up(self, only: Iterable[str] | None = None, tied: bool = True) -> None:
        """Starts what does not run yet, waits until all of it answers, makes roles, tables and topics.

        only: names of services, all where None. tied: as with the embedded stack; containers always are.
        """
        wanted = set(self.services if only is None else only)
        names = [name for name in self.services if name in wanted]
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self._start_sweeper()
        # Kafka first: it comes up while PostgreSQL's start is waited for
        if "kafka" in names:
            self._run("kafka", lambda: kafka_container(self.kafka))
        if "postgres" in names:
            self._run("postgres", lambda: postgres_container(self.postgres))
            self.wait_healthy("postgres")
            self.postgres.settle()
            upgrade(self.settings)
        if "mlflow" in names:
            self._run_registry()
        self.wait_healthy(*names)
        if "kafka" in names:
            topics.create(self.settings)

    def kill(self, name: str) -> None:
        """SIGKILL to a service, which comes back: the engine would leave a killed container lying."""
        if name == self.mlflow.name:
            self._end_registry(signal.SIGKILL)
            self._run_registry()
        else:
            container = self._containers[name].get_wrapped_container()
            container.kill()
            container.wait()
            time.sleep(AWAY_SECONDS)
            container.start()

    def wait_healthy(self, *names: str, seconds: float = UP_SECONDS) -> None:
        """Waits until the named services (all where none is named) answer."""
        for name in names or self.services:
            service = self.services[name]
            if not wait_until(service.healthy, seconds):
                raise ServiceUnavailableError(
                    f"{service.title} does not answer at {service.address} after {seconds:.0f} s: "
                    f"{self._last_words(name)}"
                )

    def down(self) -> None:
        """Ends MLflow and removes the containers with their data."""
        self._end_registry(self.mlflow.stop_signal)
        if self._sweeper and self._sweeper.stdin:
            self._sweeper.stdin.close()
            if self._sweeper.wait(60):
                raise ServiceUnavailableError(
                    f"containers were not removed; see {self.folder / 'logs/sweeper.log'}"
                )
        self._sweeper = None
        self._containers.clear()

    def _run(self, name: str, make: Callable[[], Any]) -> None:
        from docker.errors import DockerException
        from testcontainers.core.config import testcontainers_config

        if name in self._containers:
            return
        # ours sweeps; testcontainers' own sweeper is one more image, which gets the engine's socket
        testcontainers_config.ryuk_disabled = True
        container = make().with_kwargs(labels={LABEL: str(self.folder)})
        try:
            container.start()
        except DockerException as error:
            raise ServiceUnavailableError(
                f"a container of {container.image} does not start: {error}"
            ) from error
        self._containers[name] = container

    def _run_registry(self) -> None:
        if self._registry is None:
            self.mlflow.prepare()
            self._registry = spawn(
                self.mlflow.command(), self.mlflow.log, str(self.folder), self.mlflow.stop_signal
            )

    def _end_registry(self, signum: int) -> None:
        process = self._registry
        if process is not None:
            process.send_signal(signum)
            wait_until(lambda: process.poll() is not None, self.mlflow.stop_seconds)
            # its workers, and itself where it does not stop
            signal_group(process.pid, signal.SIGKILL)
            process.wait()
            self._registry = None

    def _last_words(self, name: str) -> str:
        if name in self._containers:
            said = self._containers[name].get_wrapped_container().logs(tail=5).decode(errors="replace")
        else:
            said = self.services[name].log.read_text()[-500:]
        return said.strip() or "it said nothing"

    def _start_sweeper(self) -> None:
        """Starts the process that removes our containers when this one closes its pipe: by `down`, or by its end,
        whatever ends it."""
        if self._sweeper is None:
            with open(self.folder / "logs" / "sweeper.log", "ab") as log:
                self._sweeper = subprocess.Popen(
                    [sys.executable, str(Path(__file__).resolve()), str(self.folder)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    # not to be interrupted together with the tests
                    start_new_session=True,
                )


def containers_of(folder: Path) -> list[Any]:
    """The containers of the stack with this folder, stopped ones included."""
    found: list[Any] = engine().containers.list(all=True, filters={"label": f"{LABEL}={folder}"})
    return found


def sweep(folder: Path) -> None:
    """Waits for the end of standard input, then removes the containers of a stack."""
    sys.stdin.read()
    for container in containers_of(folder):
        container.remove(force=True, v=True)


if __name__ == "__main__":
    sweep(Path(sys.argv[1]))
