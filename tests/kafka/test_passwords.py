"""A broker with passwords: the same kafka.options authenticate kafka-python and Spark's connector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from activitymodule import settings as config
from activitymodule.embedded.processes import any_free_port, clean_environment
from activitymodule.errors import ActivityError
from activitymodule.kafka import clients, topics
from activitymodule.settings import Kafka, Local, Settings
from activitymodule.streaming.java import find_java

pytestmark = pytest.mark.integration
PASSWORD = 'a "b" = \\c;\''
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"
READ = """
from activitymodule.settings import load
from activitymodule.kafka.clients import spark_kafka_options
from activitymodule.streaming.session import spark_session
found = (
    spark_session(load(), "passwords").read.format("kafka").options(**spark_kafka_options(load()))
    .option("subscribe", load().kafka.topic).load()
)
print([bytes(row.value).decode() for row in found.collect()])
"""


def of(port: int, password: str) -> Settings:
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    return Settings(
        kafka=Kafka(
            bootstrap_servers=f"127.0.0.1:{port}",
            options={
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.jaas.config": f'{SCRAM} username="anna" password="{quoted}";',
            },
        )
    )


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a broker with one user, anna."""
    jars = config.resolve(Local().kafka_jars)
    if not any(jars.glob("kafka_2.13-*.jar")):
        pytest.skip(f"Kafka's jars are missing in {jars}; run ./init.sh")
    folder = tmp_path_factory.mktemp("kafka")
    client, inner, controller = (any_free_port() for _ in range(3))
    properties = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"CLIENT://127.0.0.1:{client},INNER://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{client},INNER://127.0.0.1:{inner}",
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INNER",
        "controller.listener.names": "CONTROLLER",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.client.scram-sha-512.sasl.jaas.config": f"{SCRAM};",
        "log.dirs": folder / "data",
        "offsets.topic.replication.factor": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
    }
    server = folder / "server.properties"
    server.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    java = [str(find_java()), "-Xmx256m", "-cp", str(jars / "*")]
    # inside its quotes the tool takes the text literally
    secret = f"SCRAM-SHA-512=[name=anna,password={PASSWORD}]"
    formatted = ["kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", str(server)]
    subprocess.run([*java, *formatted, "--add-scram", secret], check=True, env=clean_environment())
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [*java, "kafka.Kafka", str(server)], stdout=log, stderr=log, env=clean_environment()
        )
    try:
        until = time.monotonic() + 120
        while not clients.reachable(of(client, PASSWORD), 1):
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, "the broker did not come up"
            time.sleep(0.2)
        yield client
    finally:
        process.terminate()
        process.wait(60)


def test_the_same_options_authenticate_both_clients(port: int) -> None:
    settings = of(port, PASSWORD)
    topics.create(settings)
    with clients.producer(settings) as producer:
        producer.send(settings.kafka.topic, b"from kafka-python")
    assert sum(upto for _, upto in (clients.topic_ends(settings, settings.kafka.topic) or {}).values()) == 1
    done = subprocess.run(
        [sys.executable, "-c", READ],
        env={
            **os.environ,
            "ACTIVITY_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "ACTIVITY_KAFKA__OPTIONS": json.dumps(settings.kafka.options),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "['from kafka-python']" in done.stdout, done.stderr[-2000:]


def test_a_wrong_password_is_rejected(port: int) -> None:
    with pytest.raises(ActivityError):
        topics.names(of(port, "another"))
