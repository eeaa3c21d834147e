"""Dead letters: send their messages to Kafka again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from activitymodule.kafka.clients import producer
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.dead_letters import (
    PAYLOAD_BYTES,
    DeadLetter,
    Selection,
    list_dead_letters,
    mark_replayed,
)


@dataclass(frozen=True)
class Resent:
    """How many messages were sent (or would be: sent is False in a dry run), and how many were left out because they
    are empty or were cut when they were stored."""

    messages: int
    left_out: int
    sent: bool


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
    ServiceUnavailableError where Kafka or the store does not answer.
    """
    chosen = replace(selection, replayed=None if again else False)
    with session(config) as connection:
        letters = list_dead_letters(connection, chosen, limit=None)
        connection.commit()  # sending takes a while; no transaction stays open for it
        # one message may have several bad items
        messages: dict[tuple[str, int, int], DeadLetter] = {}
        for letter in reversed(letters):
            messages.setdefault((letter.topic, letter.partition, letter.offset), letter)
        whole = {p: m for p, m in messages.items() if m.payload and len(m.payload) < PAYLOAD_BYTES}
        if whole and not dry_run:
            _send(config, list(whole.values()), to)
            mark_replayed(connection, list(whole))
    return Resent(len(whole), len(messages) - len(whole), not dry_run)


def _send(config: Settings, letters: list[DeadLetter], to: str | None) -> None:
    with producer(config) as out:
        futures = [
            out.send(
                to or letter.topic,
                letter.payload,
                key=letter.device_id.encode() if letter.device_id else None,
            )
            for letter in letters
        ]
        out.flush()
        for future in futures:
            future.get(timeout=30)
