"""Webhooks: added, tried and removed; and the delivery of events to them, with retries.

A request carries up to 100 events in order. While one fails, the webhook gets no later ones; it is tried again after 1,
2, 4 ... seconds, an hour at the most, and is dead once it has failed for events.webhook_hours. A dead one that passes
its test goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import getpass
import http.client
import random
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from uuid import NAMESPACE_URL, uuid4, uuid5

from typing_extensions import override

import activitymodule
from activitymodule.errors import ActivityError, ConfigError, ServiceUnavailableError
from activitymodule.settings import Settings
from activitymodule.store import webhooks as store
from activitymodule.store.connection import Connection, session, transact
from activitymodule.store.events import KINDS, ActivityEvent, events_after, newest_sequence
from activitymodule.store.webhooks import Webhook
from activitymodule.streaming.connections import KeptConnection
from activitymodule.streaming.log import log
from activitymodule.workflows.events.addresses import Target, checked_addresses, target_of
from activitymodule.workflows.events.signing import headers_of, new_secret

_AT_ONCE = 100
_LONGEST_WAIT_SECONDS = 3600.0
_THREADS = 8
_GONE = 410


@dataclass(frozen=True)
class Added:
    """A new webhook, and what signs its requests: shown once."""

    webhook: Webhook
    secret: str


@dataclass(frozen=True)
class Attempt:
    """What came of a request. error : None where it was taken; retry_seconds : what the answer asked for"""

    error: str | None
    retry_seconds: float = 0.0
    gone: bool = False


def add(config: Settings, url: str, kinds: Sequence[str] = KINDS, by: str | None = None) -> Added:
    """Add a webhook for the events from now on.

    Raises ConfigError for an address or a kind of event that cannot be right, RefusedError for an address inside the
    machine's own network, ServiceUnavailableError where its host is not found.
    """
    if not config.events.enabled:
        raise ConfigError("events are off (events.enabled): a webhook would get nothing")
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(f"{kind!r} is no kind of event; the kinds are {', '.join(KINDS)}")
    checked_addresses(target_of(url), config.events.webhook_networks)
    secret = new_secret()
    chosen = [kind for kind in KINDS if kind in kinds]
    made = transact(
        config,
        lambda connection: store.add_webhook(connection, url, chosen, secret, by or getpass.getuser()),
    )
    return Added(made, secret)


def probe(config: Settings, webhook_id: int) -> Webhook:
    """Send a signed request without events. Where it is taken, the webhook goes on, if it was dead.

    Raises ServiceUnavailableError where it is not taken, RefusedError for an address that is not allowed.
    """
    with session(config, read_only=True) as connection:
        webhook = store.find_webhook(connection, webhook_id)
        secret = store.secret_of(connection, webhook_id)
    attempt = send(config, webhook.url, secret, str(uuid4()), [])
    if attempt.error is not None:
        raise ServiceUnavailableError(f"webhook {webhook_id} does not take requests: {attempt.error}")

    def alive(connection: Connection) -> Webhook:
        found = store.find_webhook(connection, webhook_id)
        store.record_delivery(connection, webhook_id, found.sequence, 0)
        return store.find_webhook(connection, webhook_id)

    return transact(config, alive)


def send(
    config: Settings, url: str, secret: str, message_id: str, events: Sequence[ActivityEvent]
) -> Attempt:
    """One signed request. Raises RefusedError and ServiceUnavailableError as `checked_addresses`."""
    target = target_of(url)
    addresses = checked_addresses(target, config.events.webhook_networks)
    body = b'{"events":[' + b",".join(event.message() for event in events) + b"]}"
    headers = {
        "content-type": "application/json",
        "user-agent": f"activity/{activitymodule.__version__}",
        **headers_of(secret, message_id, int(time.time()), body),
    }
    failure = "it has no address"
    for address in addresses:
        try:
            return _post(target, address, body, headers, config.events.webhook_seconds)
        except (OSError, http.client.HTTPException) as error:
            failure = str(error) or type(error).__name__
    return Attempt(f"{target.host} does not answer ({failure})")


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was checked; certificate and Host header are those of the name."""

    def __init__(self, target: Target, address: IPv4Address | IPv6Address, seconds: float) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self._target, self._address, self._seconds = target, address, seconds

    @override
    def connect(self) -> None:
        self.sock = socket.create_connection((str(self._address), self._target.port), self._seconds)
        if self._target.scheme == "https":
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self._target.host)

    def end(self) -> None:
        """End the connection from another thread."""
        with contextlib.suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


def _post(
    target: Target,
    address: IPv4Address | IPv6Address,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float,
) -> Attempt:
    connection = _Connection(target, address, seconds)
    # a socket's timeout starts anew with every byte
    deadline = threading.Timer(seconds, connection.end)
    deadline.start()
    try:
        connection.request("POST", target.path, body, dict(headers))
        answer = connection.getresponse()
        status, retry = answer.status, answer.getheader("retry-after") or ""
    finally:
        deadline.cancel()
        connection.close()
    if 200 <= status < 300:
        return Attempt(None)
    if 300 <= status < 400:
        return Attempt(f"{target.host} answers {status}: redirects are not followed")
    asked = float(retry) if retry.isascii() and retry.isdecimal() and len(retry) < 9 else 0.0
    return Attempt(f"{target.host} answers {status}", asked, gone=status == _GONE)


def message_id_of(events: Sequence[ActivityEvent]) -> str:
    """The id of a request: the same for the same events."""
    return str(uuid5(NAMESPACE_URL, ",".join(str(event.id) for event in events)))


class Deliveries:
    """Delivers to every webhook that is due, a thread each. delivered : events so far"""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhook")
        self._under_way: dict[int, Future[None]] = {}
        self._connection = KeptConnection()
        self._closing = threading.Event()
        self.delivered = 0

    def step(self) -> None:
        """Begin what is due. Raises what an earlier delivery ended with."""
        due = self._connection.run(self._config, store.due_webhooks)
        for number, future in list(self._under_way.items()):
            if future.done():
                del self._under_way[number]
                future.result()
        for webhook in due:
            if webhook.webhook_id not in self._under_way:
                self._under_way[webhook.webhook_id] = self._pool.submit(self._deliver, webhook.webhook_id)

    def deliver_all(self) -> None:
        """Deliver what is due, and wait for it."""
        self.step()
        for future in self._under_way.values():
            future.result()
        self._under_way.clear()

    def close(self) -> None:
        """End after the requests under way."""
        self._closing.set()
        self._pool.shutdown(wait=True)
        self._connection.drop()

    def _deliver(self, webhook_id: int) -> None:
        while not self._closing.is_set() and self._deliver_some(webhook_id):
            pass

    def _deliver_some(self, webhook_id: int) -> bool:
        """One request; whether there is more to deliver now."""
        config = self._config
        with session(config, read_only=True) as connection:
            webhook = next(
                (one for one in store.due_webhooks(connection) if one.webhook_id == webhook_id), None
            )
            if webhook is None:
                return False
            # before the events: what is told in between comes next time
            newest = newest_sequence(connection)
            events = events_after(connection, webhook.sequence, kinds=list(webhook.events), limit=_AT_ONCE)
            secret = store.secret_of(connection, webhook_id)
        full = len(events) == _AT_ONCE
        if events:
            try:
                attempt = send(config, webhook.url, secret, message_id_of(events), events)
            except ActivityError as error:
                attempt = Attempt(str(error))
            if attempt.error is not None:
                self._failed(webhook, attempt)
                return False
        until = events[-1].sequence if full else max([newest, *(event.sequence for event in events)])
        transact(config, lambda connection: store.record_delivery(connection, webhook_id, until, len(events)))
        self.delivered += len(events)
        if webhook.failing_since is not None:
            log(f"webhook {webhook_id} takes events again")
        return full

    def _failed(self, webhook: Webhook, attempt: Attempt) -> None:
        wait = min(2.0 ** min(webhook.attempts, 20), _LONGEST_WAIT_SECONDS) * random.uniform(0.75, 1.25)
        wait = max(wait, min(attempt.retry_seconds, _LONGEST_WAIT_SECONDS))
        found = transact(
            self._config,
            lambda connection: store.record_failure(
                connection,
                webhook.webhook_id,
                attempt.error or "",
                wait=timedelta(seconds=wait),
                patience=timedelta(hours=self._config.events.webhook_hours),
                gone=attempt.gone,
            ),
        )
        if found is not None and found.dead_at is not None:
            log(
                f"webhook {webhook.webhook_id} is dead: {attempt.error}; once it takes requests again, "
                f"`activity webhooks test {webhook.webhook_id}` lets it go on where it stopped"
            )
        elif webhook.failing_since is None:
            log(f"webhook {webhook.webhook_id} fails: {attempt.error}; it is tried again")


def shown_url(url: str) -> str:
    """The address without the values of its query, which may be secret."""
    address, mark, _ = url.partition("?")
    return address + ("?..." if mark else "")
