"""Where the stream begins, by a real topic, a real store and checkpoint folders as Spark writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition

from activitymodule.errors import DataLossError, TopicRecreatedError
from activitymodule.kafka.clients import admin, producer
from activitymodule.kafka.topics import topic_id
from activitymodule.settings import Settings
from activitymodule.store.batches import begin_batch, finish_batch, offset_record
from activitymodule.store.connection import Connection, connect
from activitymodule.store.queries import execute, fetch_all
from activitymodule.streaming.checkpoint import read_checkpoint
from activitymodule.streaming.resuming import Start, start_of
from activitymodule.streaming.session import spark_session

pytestmark = pytest.mark.integration


@pytest.fixture
def spark(fresh_settings: Settings) -> Iterator[Any]:
    environment = dict(os.environ)
    session = spark_session(fresh_settings, "start")
    yield session
    session.stop()
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def connection(fresh_settings: Settings) -> Iterator[Connection]:
    opened = connect(fresh_settings)
    yield opened
    opened.close()


def test_where_the_stream_begins(
    fresh_settings: Settings, connection: Connection, spark: Any, tmp_path: Path
) -> None:
    settings, topic = fresh_settings, fresh_settings.kafka.topic
    with producer(settings) as client:
        for _ in range(40):
            client.send(topic, b"{}", partition=0)
    folder = tmp_path / "checkpoint"
    present = topic_id(settings, topic)

    def record(until: int, batch: int = 0) -> None:
        values = {"query_id": "q", "batch_id": batch}
        offsets = {0: (0, until), 1: (0, 0)}
        begin_batch(
            connection, **values, topic=topic, offsets=offsets, model_version=None, energy_version=None
        )
        finish_batch(connection, **values, windows=0)

    def checkpoint(position: int) -> None:
        for name in ("commits", "offsets"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "metadata").write_text(json.dumps({"id": "q"}))
        (folder / "commits" / "10").write_text('v1\n{"nextBatchWatermarkMs":0}')
        offsets = json.dumps({topic: {"0": position, "1": 0}})
        (folder / "offsets" / "10").write_text(f"v1\n{{}}\n{offsets}")

    def start(**options: bool) -> Start:
        return start_of(spark, settings, connection, str(folder), **options)

    # of an older version, without ids
    record(30)
    checkpoint(30)
    assert start() == Start("earliest", {0: 30, 1: 0}, present)
    assert read_checkpoint(spark, str(folder)).topic_id == present
    found = offset_record(connection, topic)
    assert found is not None
    assert found.topic_id == present

    # ahead of the store: set aside, and resumed from the store, a watermark earlier
    checkpoint(36)
    resumed = start()
    assert (json.loads(resumed.offsets), resumed.begins) == ({topic: {"0": 0, "1": 0}}, {0: 0, 1: 0})
    assert not (folder / "commits").exists()
    assert len(list(tmp_path.glob("checkpoint.set-aside-*"))) == 1

    # of an older version, and its messages were written after it read those offsets
    execute(connection, "UPDATE batches SET topic_id = NULL, started_at = now() - interval '1 hour'")
    with pytest.raises(TopicRecreatedError):
        start()
    execute(connection, "UPDATE batches SET topic_id = %s", (present,))

    # Kafka has deleted what the store lacks
    checkpoint(36)
    with admin(settings) as client:
        client.delete_records({TopicPartition(topic, 0): 35})
    with pytest.raises(DataLossError, match="partition 0: 30 to 34"):
        start()
    assert json.loads(start(accept_data_loss=True).offsets) == {topic: {"0": 35, "1": 0}}
    assert json.loads(start().offsets) == {topic: {"0": 35, "1": 0}}, "what is lost was recorded"
    lost = fetch_all(connection, "SELECT offsets FROM batches WHERE query_id LIKE 'lost-%%'", ())
    assert lost == [({"0": [30, 35]},)]

    # another topic of the name: only what was asked for forgets it
    execute(connection, "UPDATE batches SET topic_id = 'another'")
    connection.commit()
    with pytest.raises(TopicRecreatedError):
        start(accept_data_loss=True)
    assert start(forget_offsets=True) == Start("earliest", {0: 35, 1: 0}, present)
    assert offset_record(connection, topic) is None
