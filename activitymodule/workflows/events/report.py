"""How the telling of others is doing: for `activity status` and `activity events status`."""

from __future__ import annotations

from dataclasses import dataclass

from activitymodule.errors import ActivityError
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, session
from activitymodule.store.events import Outbox, outbox
from activitymodule.store.locks import SENDING, holder
from activitymodule.store.webhooks import list_webhooks


@dataclass(frozen=True)
class EventsReport:
    """sender : whether one runs; failing, dead : webhooks by their numbers"""

    sender: bool
    outbox: Outbox
    failing: tuple[int, ...]
    dead: tuple[int, ...]

    @property
    def good(self) -> bool:
        """Whether everything that is told reaches everybody."""
        return (self.sender or not self.outbox.unsent) and not self.dead

    @property
    def summary(self) -> str:
        """All of it in one line."""
        parts = [f"{self.outbox.told:,} told"]
        if self.outbox.unsent:
            parts.append(
                f"{self.outbox.unsent:,} wait to be sent, the oldest for {self.outbox.oldest_seconds:.0f} s"
            )
        if not self.sender:
            parts.append("no sender runs (`activity events send`)")
        for state, numbers in (("failing", self.failing), ("dead", self.dead)):
            if numbers:
                parts.append(f"{state} webhooks: {', '.join(map(str, numbers))} (`activity webhooks list`)")
        return "; ".join(parts)


def of_store(config: Settings, connection: Connection) -> EventsReport:
    """The report, by what the store has."""
    topic = config.events.topic
    states = [(one.state, one.webhook_id) for one in list_webhooks(connection)]
    return EventsReport(
        sender=holder(connection, SENDING, topic) is not None,
        outbox=outbox(connection, topic),
        failing=tuple(number for state, number in states if state == "failing"),
        dead=tuple(number for state, number in states if state == "dead"),
    )


def events_report(config: Settings) -> EventsReport | None:
    """The report; None where events are off, or PostgreSQL does not answer."""
    if not config.events.enabled:
        return None
    try:
        with session(config, read_only=True) as connection:
            return of_store(config, connection)
    except ActivityError:
        return None
