"""Every event reaches the topic at least once, with one id, and of a watch in order, whatever is killed in between."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jsonschema
import pytest
from kafka import TopicPartition
from ledger import until
from refusals import refuse, relax
from told import all_events

from activitymodule.errors import LockedError, StoreUnavailableError
from activitymodule.kafka.clients import consumer, partitions, read_until
from activitymodule.settings import Settings, project_root
from activitymodule.store.connection import Connection
from activitymodule.store.events import ActivityEvent, outbox, sent_until
from activitymodule.workflows.events.sending import Sender, SenderLease

pytestmark = pytest.mark.integration


def messages(own: Settings) -> list[tuple[str, dict[str, Any]]]:
    """(key, message) of the whole topic, partition by partition."""
    topic = own.events.topic
    found = []
    with consumer(own) as client:
        parts = partitions(client, own, topic)
        client.assign(parts)
        client.seek_to_beginning(*parts)
        ends: dict[TopicPartition, int] = client.end_offsets(parts)
        for records in read_until(client, own, {part: end for part, end in ends.items() if end}):
            found += [(record.key.decode(), json.loads(record.value)) for record in records]
    return found


def assert_every_event_is_there(own: Settings, connection: Connection) -> int:
    """How many messages were there more than once."""
    told = {str(event.id): json.loads(event.message()) for event in all_events(connection)}
    connection.commit()
    got = messages(own)
    assert {message["id"]: message for _, message in got} == told
    first_of = {id(m): m for _, m in got}
    seen: set[str] = set()
    newest: dict[str, int] = {}
    for key, message in got:
        assert key == message["device_id"]
        if message["id"] not in seen:
            assert message["sequence"] > newest.get(key, 0), "of a watch in order"
            newest[key] = message["sequence"]
            seen.add(message["id"])
    return len(first_of) - len(told)


def test_messages_are_as_documented(
    own: Settings, connection: Connection, tell: Callable[[int, int], None]
) -> None:
    tell(0, 30)
    sent = Sender(own, once=True).run()
    assert sent.sent == len(all_events(connection)) > 20
    assert assert_every_event_is_there(own, connection) == 0
    schema = json.loads((project_root() / "docs" / "activity-event.schema.json").read_text())
    for _, message in messages(own):
        jsonschema.validate(message, schema)
        assert (
            ActivityEvent.model_validate(message).message()
            == json.dumps(message, separators=(",", ":")).encode()
        )
    assert Sender(own, once=True).run().sent == 0
    assert outbox(connection, own.events.topic).unsent == 0


def test_what_was_sent_and_not_recorded_is_sent_again(
    own: Settings, connection: Connection, tell: Callable[[int, int], None]
) -> None:
    tell(0, 30)
    recording = "INSERT ON event_senders"
    refuse(own, recording, "53100")
    with pytest.raises(StoreUnavailableError):
        Sender(own, once=True).run()
    relax(own, recording)
    assert sent_until(connection, own.events.topic) == 0
    tell(30, 10)
    Sender(own, once=True).run()
    assert assert_every_event_is_there(own, connection) > 20


@contextmanager
def process(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(
        [sys.executable, "-m", "activitymodule", "events", "send"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def test_a_killed_sender_and_the_one_after_it(
    own: Settings,
    connection: Connection,
    tell: Callable[[int, int], None],
    environment_of: Callable[[Settings], dict[str, str]],
) -> None:
    def unsent() -> int:
        found = outbox(connection, own.events.topic).unsent
        connection.commit()
        return found

    tell(0, 8)
    for round_ in range(1, 3):
        with process(environment_of(own)):
            first = unsent()
            tell(100 * round_, 60)
            until(lambda first=first: unsent() < first + 60, "the sender to send something", every=0.01)
    with process(environment_of(own)) as last:
        tell(500, 20)
        until(lambda: unsent() == 0, "everything to be sent", every=0.05)
        with pytest.raises(LockedError), SenderLease(own, patience_seconds=0):
            pass
        last.terminate()
        assert last.wait(30) == 0
    assert_every_event_is_there(own, connection)
