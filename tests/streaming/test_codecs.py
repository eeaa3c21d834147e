"""Every codec of Kafka, between the two clients, in both directions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from own_settings import replaced

from activitymodule.kafka import clients
from activitymodule.settings import Settings
from activitymodule.streaming.messages import kafka_messages
from activitymodule.streaming.session import spark_session

pytestmark = pytest.mark.integration
VALUES = [b"%d " % number * 50 for number in range(200)]


@pytest.fixture(scope="module")
def spark(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    environment = dict(os.environ)
    local = {"folder": str(tmp_path_factory.mktemp("spark"))}
    session = spark_session(replaced(stack_settings, local=local, spark={"driver_memory": "1g"}), "codecs")
    yield session
    session.stop()
    os.environ.clear()
    os.environ.update(environment)


def by_python(settings: Settings, topic: str) -> list[bytes]:
    with clients.consumer(settings) as client:
        parts = clients.partitions(client, settings, topic)
        client.assign(parts)
        client.seek_to_beginning()
        ends = client.end_offsets(parts)
        return sorted(
            record.value for records in clients.read_until(client, settings, ends) for record in records
        )


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_what_one_client_compresses_the_other_reads(
    fresh_settings: Settings, spark: Any, tmp_path: Any, codec: str
) -> None:
    settings = replaced(fresh_settings, kafka={"options": {"compression.type": codec}})
    topic, back = settings.kafka.topic, settings.kafka.truth_topic
    # as the clients made them: a topic's own codec would be the broker's work
    with clients.producer(settings) as out:
        for value in VALUES:
            out.send(topic, value)
    messages = kafka_messages(spark, settings, starting="earliest", fail_on_loss=True, at_most=1000)
    writing = messages.writeStream.format("kafka").option("topic", back).trigger(availableNow=True)
    for key, value in clients.spark_kafka_options(settings).items():
        writing = writing.option(key, value)
    writing.option("checkpointLocation", str(tmp_path / "checkpoint")).start().awaitTermination()
    assert by_python(settings, topic) == sorted(VALUES)
    assert by_python(settings, back) == sorted(VALUES)
    ends = clients.topic_ends(settings, topic)
    assert ends is not None
    until = {number: last for number, (_, last) in ends.items()}
    first = {number: first for number, (first, _) in ends.items()}
    assert clients.offsets_before(settings, topic, until, 3600) == first
