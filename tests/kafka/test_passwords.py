"""A broker with passwords: the same kafka.options authenticate kafka-python and Spark's connector."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from activitymodule import settings as config
from activitymodule.embedded.processes import any_free_port, clean_environment
from activitymodule.errors import BrokerAuthenticationError, BrokerAuthorizationError
from activitymodule.kafka import clients, failures, topics
from activitymodule.kafka.truth import read_truth
from activitymodule.settings import Kafka, Local, Settings
from activitymodule.streaming.java import find_java
from activitymodule.streaming.score import ScoringJob
from activitymodule.streaming.session import spark_session
from activitymodule.telemetry.decoding import decode_messages
from annotation.api.ingest import send_readings

pytestmark = pytest.mark.integration
PASSWORD = 'a "b" = \\c;\''
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"
READINGS = decode_messages(
    pa.array([b'{"device_id":"w1","stamp":"2026-01-01T00:00:00Z","heart_rate":70}']),
    now_us=1_767_225_600_000_000,
    limits=Settings().telemetry,
).readings.drop_columns(["message", "item"])


def of(port: int, password: str, user: str = "anna") -> Settings:
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    return Settings(
        kafka=Kafka(
            bootstrap_servers=f"127.0.0.1:{port}",
            options={
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.jaas.config": f'{SCRAM} username="{user}" password="{quoted}";',
            },
        )
    )


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a broker with two users: anna, who may do everything, and bert, who may do nothing."""
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
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:anna;User:ANONYMOUS",  # the broker itself signs in without a name
        "log.dirs": folder / "data",
        "offsets.topic.replication.factor": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
    }
    server = folder / "server.properties"
    server.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    java = [str(find_java()), "-Xmx256m", "-cp", str(jars / "*")]
    # inside its quotes the tool takes the text literally
    secrets = [
        word
        for user in ("anna", "bert")
        for word in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={PASSWORD}]")
    ]
    formatted = ["kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", str(server)]
    subprocess.run([*java, *formatted, *secrets], check=True, env=clean_environment())
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


@pytest.fixture
def spark(tmp_path: Path) -> Iterator[Any]:
    environment = dict(os.environ)
    session = spark_session(config.build({"local": {"folder": str(tmp_path)}}), "passwords")
    yield session
    session.stop()
    os.environ.clear()
    os.environ.update(environment)


def read_by_spark(spark: Any, settings: Settings) -> str:
    """The messages of the topic, or the text of the error."""
    source = spark.read.format("kafka").options(**clients.spark_kafka_options(settings))
    try:
        rows = source.option("subscribe", settings.kafka.topic).load().collect()
    except (PySparkException, Py4JError) as error:
        return str(error)
    return str([bytes(row.value).decode() for row in rows])


def test_the_same_options_authenticate_both_clients(port: int, spark: Any) -> None:
    """And Java's exceptions, in the text of Spark's, are told apart as kafka-python's."""
    settings = of(port, PASSWORD)
    topics.create(settings)
    with clients.producer(settings) as producer:
        producer.send(settings.kafka.topic, b"from kafka-python")
    assert sum(upto for _, upto in (clients.topic_ends(settings, settings.kafka.topic) or {}).values()) == 1
    each = [settings, of(port, PASSWORD, "bert"), of(port, "another")]
    read, not_allowed, not_known = (read_by_spark(spark, one) for one in each)
    assert read == "['from kafka-python']"
    assert type(failures.of_java(settings, not_allowed)) is BrokerAuthorizationError
    assert type(failures.of_java(settings, not_known)) is BrokerAuthenticationError


@pytest.mark.parametrize(
    "use",
    [
        topics.names,
        lambda settings: clients.topic_ends(settings, settings.kafka.topic),
        lambda settings: ScoringJob(settings)._wait_for_topic(),
    ],
)
def test_a_wrong_password_is_rejected_at_once(port: int, use: Callable[[Settings], object]) -> None:
    """kafka-python itself tries it again until it runs out of time, also on a busy machine, where the answer and the
    end of the connection are read together."""
    with pytest.raises(BrokerAuthenticationError):
        use(of(port, "another"))


@pytest.mark.parametrize(
    "use",
    [
        topics.create,
        read_truth,
        lambda settings: clients.topic_ends(settings, settings.kafka.topic),
        lambda settings: topics.describe(settings, [settings.kafka.topic]),
        lambda settings: topics.topic_id(settings, settings.kafka.topic),
        lambda settings: ScoringJob(settings)._wait_for_topic(),
        lambda settings: send_readings(settings, READINGS),
    ],
)
def test_what_a_user_may_not_do_is_no_outage_and_no_empty_topic(
    port: int, use: Callable[[Settings], object]
) -> None:
    topics.create(of(port, PASSWORD))
    with pytest.raises(BrokerAuthorizationError):
        use(of(port, PASSWORD, "bert"))
