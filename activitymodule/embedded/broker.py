"""The embedded Kafka: one KRaft node on loopback, from the jars init.sh fetched."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import subprocess
import uuid
from pathlib import Path

from typing_extensions import override

from activitymodule.embedded.processes import Command, any_free_port, clean_environment
from activitymodule.embedded.service import Service, address_of
from activitymodule.errors import ServiceUnavailableError
from activitymodule.settings import resolve
from activitymodule.streaming.java import find_java

LOG4J = """\
status = error
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss.SSS} %p %c{1} %m%n
"""


class Broker(Service):
    """One KRaft node, broker and controller."""

    name = "kafka"
    title = "Kafka"
    setting = "kafka.bootstrap_servers"
    stop_seconds = 30

    @property
    def _first(self) -> tuple[str, int]:
        return address_of(self.settings.kafka.bootstrap_servers.split(",")[0].strip(), self.setting)

    @property
    @override
    def host(self) -> str:
        return self._first[0]

    @property
    @override
    def port(self) -> int:
        return self._first[1]

    @property
    def jars(self) -> Path:
        """The folder of Kafka's jars."""
        return resolve(self.settings.local.kafka_jars)

    @override
    def check(self) -> None:
        if not any(self.jars.glob("kafka_2.13-*.jar")):
            raise ServiceUnavailableError(f"Kafka's jars are missing in {self.jars}; run ./init.sh")
        find_java()

    def _java(self, *arguments: str, megabytes: int) -> list[str]:
        return [
            str(find_java()),
            f"-Xmx{megabytes}m",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            str(self.jars / "*"),
            *arguments,
        ]

    @property
    def rules(self) -> dict[str, object]:
        """Properties of a one-node broker that hold wherever it runs; tests give them to a container, too."""
        kafka = self.settings.kafka
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "auto.create.topics.enable": "false",
            "num.partitions": kafka.partitions,
            "log.retention.hours": kafka.retention_hours,
            "log.retention.check.interval.ms": 60_000,
            # a message above telemetry.max_message_bytes must still arrive, to become a dead letter
            "message.max.bytes": 4 * max(self.settings.telemetry.max_message_bytes, 1 << 20),
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # after a kill -9 the node must wait for its own old session to end before it may begin a new one
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 800,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "log.cleaner.dedupe.buffer.size": 16 << 20,
            "controlled.shutdown.enable": "true",
        }

    @override
    def prepare(self) -> None:
        data = self.folder / "data"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOG4J, encoding="utf-8")
        # only this node connects to the controller: any free port, a new one at every start
        controller = any_free_port()
        properties = {
            **self.rules,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"CLIENT://{self.host}:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENT://{self.host}:{self.port}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": data,
        }
        lines = [f"{key}={value}" for key, value in properties.items()]
        (self.folder / "server.properties").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if not (data / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if cluster.startswith("-"):  # it would be parsed as an option
            cluster = "A" + cluster[1:]
        done = subprocess.run(
            self._java(
                "kafka.tools.StorageTool",
                "format",
                "-t",
                cluster,
                "-c",
                str(self.folder / "server.properties"),
                "--ignore-formatted",
                megabytes=256,
            ),
            capture_output=True,
            text=True,
            env=clean_environment(),
            encoding="utf-8",
            errors="replace",
        )
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise ServiceUnavailableError(f"Kafka's storage could not be made ({lines[-1]}); see {self.log}")

    @override
    def command(self) -> Command:
        argv = self._java(
            "kafka.Kafka",
            str(self.folder / "server.properties"),
            megabytes=self.settings.local.kafka_memory_megabytes,
        )
        return Command(argv, folder=self.folder)

    @override
    def healthy(self) -> bool:
        """Whether the broker answers a request for its API versions (API key 18, version 0)."""
        body = struct.pack(">hhih", 18, 0, 1, -1)
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 2) as talk:
            talk.sendall(struct.pack(">i", len(body)) + body)
            answer = talk.recv(4096)
            # length, correlation id, error code
            return len(answer) >= 10 and struct.unpack(">ih", answer[4:10]) == (1, 0)
        return False
