"""Sending dead letters again: once a message, without those that were cut, and nothing in a dry run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from activitymodule.errors import ConfigError
from activitymodule.settings import load
from activitymodule.store.dead_letters import PAYLOAD_BYTES, DeadLetter, Selection
from activitymodule.workflows import dead_letters
from activitymodule.workflows.dead_letters import Resent, at_place, place_of, send_again

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def letter(offset: int, item: int = -1, payload: bytes | None = b"{}") -> DeadLetter:
    values: dict[str, Any] = dict.fromkeys(DeadLetter.__dataclass_fields__)
    values |= {"topic": "readings", "partition": 0, "offset": offset, "item": item, "payload": payload}
    return DeadLetter(**values | {"device_id": "watch-1", "noticed_at": NOW, "topic_id": "id"})


class Producer:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes]] = []

    def send(self, topic: str, value: bytes, key: bytes) -> Producer:
        self.sent.append((topic, value, key))
        return self

    def flush(self) -> None:
        """Everything is sent already."""

    def get(self, timeout: float) -> None:
        """Everything has arrived already."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A store with five dead letters of three messages, and a broker; what was sent and marked."""
    made: dict[str, Any] = {"out": Producer(), "marked": [], "selections": []}
    letters = [
        letter(1, 0),
        letter(1, 4),
        letter(2),
        letter(3, payload=b"x" * PAYLOAD_BYTES),
        letter(4, payload=None),
    ]

    class Connection:
        def commit(self) -> None:
            """Nothing is held."""

        def rollback(self) -> None:
            made["marked"].clear()

    @contextmanager
    def session(config: Any, read_only: bool = False) -> Iterator[Connection]:
        yield Connection()

    @contextmanager
    def producer(config: Any) -> Iterator[Producer]:
        yield made["out"]

    def listed(connection: Any, selection: Selection, *, limit: int | None) -> list[DeadLetter]:
        made["selections"].append(selection)
        return letters

    monkeypatch.setattr(dead_letters, "session", session)
    monkeypatch.setattr(dead_letters, "producer", producer)
    monkeypatch.setattr(dead_letters, "list_dead_letters", listed)
    monkeypatch.setattr(
        dead_letters, "mark_replayed", lambda connection, places: made["marked"].extend(places)
    )
    return made


def test_a_message_with_two_bad_items_is_sent_once(world: dict[str, Any]) -> None:
    assert send_again(load({}), Selection()) == Resent(messages=2, left_out=2, sent=True)
    assert sorted(world["out"].sent) == [("readings", b"{}", b"watch-1")] * 2
    assert sorted(world["marked"]) == [("readings", "id", 0, 1), ("readings", "id", 0, 2)]
    assert world["selections"][0].replayed is False


def test_a_dry_run_sends_and_marks_nothing(world: dict[str, Any]) -> None:
    assert send_again(load({}), Selection(), again=True, dry_run=True) == Resent(2, 2, sent=False)
    assert (world["out"].sent, world["marked"]) == ([], [])
    assert world["selections"][0].replayed is None


def test_another_topic(world: dict[str, Any]) -> None:
    send_again(load({}), Selection(), to="elsewhere")
    assert {topic for topic, _, _ in world["out"].sent} == {"elsewhere"}


def test_a_place_selects_a_message_or_one_of_its_items(world: dict[str, Any]) -> None:
    assert at_place(load({}), place_of(letter(7)))
    assert at_place(load({}), place_of(letter(7, 3)))
    message, item = world["selections"]
    assert message == Selection(topic="readings", partition=0, offset=7)
    assert item == Selection(topic="readings", partition=0, offset=7, item=3)
    with pytest.raises(ConfigError):
        at_place(load({}), "somewhere")
