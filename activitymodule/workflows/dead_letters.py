"""Dead letters: find one by its place, and send their messages to Kafka again."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from activitymodule.errors import ConfigError, DataError
from activitymodule.kafka.clients import producer
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.dead_letters import (
    PAYLOAD_BYTES,
    DeadLetter,
    Place,
    Selection,
    list_dead_letters,
    mark_replayed,
)

_PLACE = re.compile(
    r"(?P<topic>[^/]+)/(?P<partition>[0-9]{1,9})/(?P<offset>[0-9]{1,18})(?:/(?P<item>[0-9]{1,9}))?"
)


@dataclass(frozen=True)
class Resent:
    """How many messages were sent (or would be: sent is False in a dry run), and how many were left out because they
    are empty or were cut when they were stored."""

    messages: int
    left_out: int
    sent: bool


def place_of(letter: DeadLetter) -> str:
    """Where a dead letter comes from: topic/partition/offset, and /item for one reading of an array."""
    item = "" if letter.item < 0 else f"/{letter.item}"
    return f"{letter.topic}/{letter.partition}/{letter.offset}{item}"


def at_place(config: Settings, place: str) -> list[DeadLetter]:
    """The dead letters of a place as `place_of` writes it, or of all items of a message.

    Raises ConfigError for what is no place, DataError where there is none.
    """
    match = _PLACE.fullmatch(place)
    if not match:
        raise ConfigError(
            f"{place} is no place; write topic/partition/offset, such as ticker-watch-data/0/1234"
        )
    selection = Selection(
        topic=match["topic"],
        partition=int(match["partition"]),
        offset=int(match["offset"]),
        item=None if match["item"] is None else int(match["item"]),
    )
    with session(config, read_only=True) as connection:
        letters = list_dead_letters(connection, selection, limit=None)
    if not letters:
        raise DataError(
            f"there is no dead letter at {place}; `activity dead-letters list` shows their places"
        )
    return letters


def send_again(
    config: Settings,
    selection: Selection,
    *,
    to: str | None = None,
    again: bool = False,
    dry_run: bool = False,
) -> Resent:
    """Send the messages of dead letters to Kafka again, once each, and record it.

    to : a topic, by default the one each came from; again : also those that were sent again before. Raises
    ServiceUnavailableError where Kafka or the store does not answer, BrokerError where Kafka refuses; none is recorded
    then, and what did arrive counts once when it is sent again.
    """
    chosen = replace(selection, replayed=None if again else False)
    with session(config) as connection:
        letters = list_dead_letters(connection, chosen, limit=None)
        connection.commit()  # sending takes a while; no transaction stays open for it
        # one message may have several bad items
        messages: dict[Place, DeadLetter] = {}
        for letter in reversed(letters):
            place = letter.topic, letter.topic_id, letter.partition, letter.offset
            messages.setdefault(place, letter)
        whole = {p: m for p, m in messages.items() if m.payload and len(m.payload) < PAYLOAD_BYTES}
        if whole and not dry_run:
            # a store that takes no writes is noticed before anything is sent
            mark_replayed(connection, list(whole))
            connection.rollback()
            _send(config, list(whole.values()), to)
            mark_replayed(connection, list(whole))
    return Resent(len(whole), len(messages) - len(whole), not dry_run)


def _send(config: Settings, letters: list[DeadLetter], to: str | None) -> None:
    with producer(config) as out:
        for letter in letters:
            key = letter.device_id.encode() if letter.device_id else None
            out.send(to or letter.topic, letter.payload, key=key)
