"""What a real broker refuses, and what a consumer may read: each ends at once, and none is taken for an outage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from own_settings import replaced

from activitymodule.errors import DataError, MessageTooLargeError, NoTopicError
from activitymodule.kafka import clients
from activitymodule.kafka.truth import TruthTail, read_truth
from activitymodule.settings import Settings
from activitymodule.streaming.score import ScoringJob
from activitymodule.workflows import evaluation
from activitymodule.workflows.replaying import replay

pytestmark = pytest.mark.integration


def span(device: str) -> bytes:
    return json.dumps(
        {
            "device_id": device,
            "start": "2026-01-01T00:00:00Z",
            "end": "2026-01-01T00:00:10Z",
            "activity": "sitting",
        }
    ).encode()


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A recording of four seconds."""
    folder = tmp_path / "wisdm"
    folder.mkdir()
    lines = (f"1700,A,{i % 3}.5,3.25,9.5;\n" for i in range(80))
    (folder / "data_1700_accel_watch.txt").write_text("".join(lines))
    return folder


def set_of_topic(settings: Settings, topic: str, **values: str) -> None:
    configs = {name.replace("_", "."): value for name, value in values.items()}
    with clients.admin(settings) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])


def test_a_topic_that_does_not_exist(fresh_settings: Settings, recorded: Path) -> None:
    """kafka-python itself waits a minute for it, or takes it for one without messages."""
    nowhere = replaced(fresh_settings, kafka={"topic": "nowhere", "truth_topic": "nowhere-true"})
    with pytest.raises(NoTopicError, match="nowhere"):
        replay(nowhere, str(recorded), speed=None)
    with pytest.raises(NoTopicError, match="nowhere-true"):
        evaluation.evaluate(nowhere)
    with pytest.raises(NoTopicError, match="nowhere"):
        ScoringJob(nowhere).run()
    with pytest.raises(NoTopicError), clients.producer(fresh_settings) as out:
        out.send("nowhere", b"x")
    assert clients.topic_ends(fresh_settings, "nowhere") is None
    with TruthTail(nowhere, 60) as tail:  # watches of people have no truth
        assert tail.poll(0).num_rows == 0


def test_a_message_that_is_too_large(fresh_settings: Settings, recorded: Path) -> None:
    topic = fresh_settings.kafka.topic
    set_of_topic(fresh_settings, topic, max_message_bytes="300")
    with pytest.raises(MessageTooLargeError):
        replay(fresh_settings, str(recorded), speed=None)
    # the failure of a message that nobody asks about is raised when the producer ends
    with pytest.raises(MessageTooLargeError), clients.producer(fresh_settings) as out:
        out.send(topic, b"x" * 10_000)
    small = replaced(fresh_settings, kafka={"options": {"max.request.size": "1000"}})
    with pytest.raises(MessageTooLargeError), clients.producer(small) as out:
        out.send(topic, b"x" * 10_000)


def test_options_of_one_kind_of_client_do_not_disturb_the_others(fresh_settings: Settings) -> None:
    options = {"compression.type": "zstd", "max.poll.records": "7", "linger.ms": "1"}
    settings = replaced(fresh_settings, kafka={"options": options})
    with clients.producer(settings) as out:
        out.send(settings.kafka.truth_topic, span("watch-1"))
    assert read_truth(settings).spans.num_rows == 1


def test_only_committed_messages_are_read(fresh_settings: Settings) -> None:
    topic = fresh_settings.kafka.truth_topic
    out: Any = KafkaProducer(
        bootstrap_servers=fresh_settings.kafka.bootstrap_servers, transactional_id=f"of-{topic}"
    )
    out.init_transactions()
    for device, ends in (("kept", out.commit_transaction), ("dropped", out.abort_transaction)):
        out.begin_transaction()
        for _ in range(3):
            out.send(topic, span(device), partition=0)
        out.flush()
        ends()
    out.begin_transaction()
    out.send(topic, span("open"), partition=0)
    out.flush()
    try:
        assert set(read_truth(fresh_settings).spans.column("device_id").to_pylist()) == {"kept"}
        ends_of = clients.topic_ends(fresh_settings, topic)
        assert ends_of is not None
        assert ends_of[0] == (0, 8)  # three messages and a marker, twice; not the one that is still open
        # the newest message before the end is the last one that was committed, behind a transaction's marker
        assert clients.offsets_before(fresh_settings, topic, {0: 8}, 3600) == {0: 0}
        assert clients.offsets_before(fresh_settings, topic, {0: 8}, -3600) == {0: 8}
        everything = replaced(fresh_settings, kafka={"isolation_level": "read_uncommitted"})
        devices = read_truth(everything).spans.column("device_id").to_pylist()
        assert sorted(devices) == ["dropped"] * 3 + ["kept"] * 3 + ["open"]
    finally:
        out.abort_transaction()
        out.close()


def test_a_null_on_the_truth_topic_is_counted(fresh_settings: Settings) -> None:
    with clients.producer(fresh_settings) as out:
        for value in (b"null", b"[" * 3000):
            out.send(fresh_settings.kafka.truth_topic, value)
    assert read_truth(fresh_settings).unusable == {"not_an_object": 1, "too_deep": 1}
    with pytest.raises(DataError, match="too_deep"):
        evaluation.evaluate(fresh_settings)
