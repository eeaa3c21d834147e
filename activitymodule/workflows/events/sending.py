"""The sender: events of the outbox to the topic, in their order, each at least once; and to webhooks.

How far the topic has come is recorded after Kafka has acknowledged the messages: a sender that is killed in between
sends them again, with the same ids. It ends bouts of watches from which nothing comes any more, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from kafka import KafkaProducer

from activitymodule.errors import ConflictError, SchemaError, ServiceUnavailableError, StoreUnavailableError
from activitymodule.kafka import topics
from activitymodule.kafka.clients import producer
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, place
from activitymodule.store.events import ActivityEvent, events_after, record_sent, sent_until
from activitymodule.store.locks import SCORING, SENDING, SessionLock, holder
from activitymodule.store.telling import silent_watches, tell_silent
from activitymodule.streaming.connections import KeptConnection
from activitymodule.streaming.log import log
from activitymodule.workflows.events.webhooks import Deliveries

_AT_ONCE = 1000
_SILENCE_SECONDS = 15.0
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Sent:
    """What a sender did. sent : messages to the topic; delivered : events to webhooks"""

    sent: int
    delivered: int


class SenderLease(SessionLock):
    """One sender a topic, so that the messages of a watch stay in order."""

    def __init__(self, config: Settings, *, patience_seconds: float = 2.0) -> None:
        topic = config.events.topic
        held = (
            f"the events of PostgreSQL at {place(config)} are already sent to the topic {topic} ({{holder}}); "
            "stop that sender first"
        )
        super().__init__(
            config, SENDING, topic, who="activity events", held=held, patience_seconds=patience_seconds
        )


class Sender:
    """One run; `run` returns when it was stopped, or (once) when nothing waits."""

    def __init__(self, config: Settings, *, once: bool = False) -> None:
        self._config, self._once = config, once
        self._connection = KeptConnection()
        self._deliveries = Deliveries(config)
        self._stop = threading.Event()
        self._silence_at = 0.0
        self._away: str | None = None
        self._failure: BaseException | None = None
        self.sent = 0

    def stop(self, *_: object) -> None:
        """Ask it to end; safe from a signal handler and from other threads."""
        self._stop.set()

    def run(self) -> Sent:
        """Send until stopped, through outages of Kafka and PostgreSQL.

        Raises LockedError where another sender of the topic runs, BrokerError where Kafka refuses.
        """
        self._until_it_works(self._with_lease)
        return Sent(self.sent, self._deliveries.delivered)

    def _with_lease(self) -> None:
        webhooks = threading.Thread(target=self._deliver, name="webhooks", daemon=True)
        with SenderLease(self._config) as lease:
            if not self._once:
                webhooks.start()
            try:
                self._until_it_works(partial(self._send, lease))
                if self._once:
                    self._deliveries.deliver_all()
            finally:
                self._stop.set()
                if not self._once:
                    webhooks.join()
                self._deliveries.close()
                self._connection.drop()
        if self._failure is not None:
            raise self._failure

    def _until_it_works(self, work: Callable[[], None]) -> None:
        """An outage is logged once when it begins and once when it ends."""
        while not self._stop.is_set():
            try:
                return work()
            except (ServiceUnavailableError, SchemaError) as error:
                # tables that are not there yet are made by `activity up`, which started this
                if self._once:
                    raise
                if self._away is None and not isinstance(error, ConflictError):
                    of_store = isinstance(error, StoreUnavailableError | SchemaError)
                    self._away = "PostgreSQL" if of_store else "Kafka"
                    log(f"{error}; waiting for it")
                self._stop.wait(_PAUSE_SECONDS)

    def _send(self, lease: SessionLock) -> None:
        config = self._config
        topics.create(config, [config.events.topic])
        with producer(config, linger_ms=5, request_timeout_ms=10_000, delivery_timeout_ms=30_000) as client:
            while not self._stop.is_set():
                lease.check()
                self._end_silent()
                count = self._send_some(client)
                if self._away is not None:
                    log(f"{self._away} is back")
                    self._away = None
                if count < _AT_ONCE:
                    if self._once:
                        return
                    self._stop.wait(config.events.poll_seconds)

    def _send_some(self, client: KafkaProducer) -> int:
        config, topic = self._config, self._config.events.topic

        def waiting(connection: Connection) -> list[ActivityEvent]:
            return events_after(connection, sent_until(connection, topic), limit=_AT_ONCE)

        events = self._connection.run(config, waiting)
        if not events:
            return 0
        for event in events:
            client.send(topic, event.message(), key=event.device_id.encode())
        client.flush()
        client.check()
        last = events[-1].sequence
        self._connection.run(config, lambda connection: record_sent(connection, topic, last))
        self.sent += len(events)
        return len(events)

    def _end_silent(self) -> None:
        if time.monotonic() < self._silence_at:
            return
        self._silence_at = time.monotonic() + _SILENCE_SECONDS
        self._connection.run(self._config, partial(end_silent, self._config))

    def _deliver(self) -> None:
        while not self._stop.is_set():
            try:
                self._deliveries.step()
            except (ServiceUnavailableError, SchemaError):
                pass  # the other thread waits for PostgreSQL, and logs it
            except BaseException as error:
                self._failure = error
                self._stop.set()
            self._stop.wait(self._config.events.poll_seconds)


def end_silent(config: Settings, connection: Connection) -> int:
    """End the bouts of watches whose next window would be later than the watermark; how many events that makes.

    Where a scorer runs, also those of which the store has had nothing for so long.
    """
    windows = config.windows
    patience = timedelta(minutes=windows.watermark_minutes + 1, seconds=windows.length_seconds)
    by_clock = holder(connection, SCORING, config.kafka.topic) is not None
    silent = silent_watches(connection, patience, by_clock=by_clock)
    return tell_silent(connection, silent, config.scoring.smoothing_windows)
