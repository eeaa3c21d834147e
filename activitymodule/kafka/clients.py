"""Kafka clients from the settings, and the offsets of a topic."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import (
    KafkaError,
    NoError,
    SaslAuthenticationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from activitymodule.errors import ActivityError, ConfigError, ServiceUnavailableError
from activitymodule.kafka.authentication import GoogleTokens
from activitymodule.kafka.failures import away, explained, is_refusal, no_topic
from activitymodule.settings import Settings

# kafka.options are those of the Java client, which Spark uses. kafka-python does not know these:
_JAVA_ONLY = re.compile(
    r"sasl\.(jaas\.config|.*\.class|oauthbearer\..*|login\..*)|ssl\.(truststore|keystore|endpoint)\..*"
)
_JAAS_OPTION = re.compile(r"""(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s;"']+))""")
_GOOGLE = "com.google.cloud.hosted.kafka.auth.GcpLoginCallbackHandler"
TIMEOUT_MS = 15_000
_POLL_MS = 1000
_KINDS = (KafkaConsumer, KafkaProducer, KafkaAdminClient)

Options = dict[str, Any]  # of kafka-python


def _jaas(text: str) -> dict[str, str]:
    """The options of a line of JAAS: `some.LoginModule required username="..." password="...";`."""
    return {
        name: re.sub(r"\\(.)", r"\1", double or single) or plain
        for name, double, single, plain in _JAAS_OPTION.findall(text)
    }


@lru_cache(maxsize=1)
def _google_tokens() -> GoogleTokens:
    return GoogleTokens()


def client_options(config: Settings) -> Options:
    """kafka.options in the spelling of kafka-python, for every client of it.

    User name and password are read from sasl.jaas.config (PLAIN, SCRAM); AWS_MSK_IAM is supported by kafka-python;
    OAUTHBEARER only with Google's handler. Raises ConfigError for any other OAUTHBEARER.
    """
    java = config.kafka.options
    # Java's spelling of an option (security.protocol) is kafka-python's with underscores
    options: Options = {
        key.replace(".", "_"): value for key, value in java.items() if not _JAVA_ONLY.fullmatch(key)
    }
    if java.get("ssl.endpoint.identification.algorithm") == "":
        options["ssl_check_hostname"] = False
    if java.get("ssl.truststore.type", "").upper() == "PEM" and "ssl.truststore.location" in java:
        options["ssl_cafile"] = java["ssl.truststore.location"]
    mechanism = java.get("sasl.mechanism", "")
    if mechanism == "PLAIN" or mechanism.startswith("SCRAM-"):
        user = _jaas(java.get("sasl.jaas.config", ""))
        for name in ("username", "password"):
            if name in user:
                options.setdefault(f"sasl_plain_{name}", user[name])
    elif mechanism == "OAUTHBEARER":
        if java.get("sasl.login.callback.handler.class") != _GOOGLE:
            raise ConfigError(
                f"kafka.options: OAUTHBEARER is supported only with sasl.login.callback.handler.class {_GOOGLE}; "
                "use SCRAM-SHA-512, which every client understands"
            )
        options["sasl_oauth_token_provider"] = _google_tokens()
    return {"bootstrap_servers": config.kafka.bootstrap_servers.split(","), **options}


def spark_kafka_options(config: Settings) -> dict[str, str]:
    """kafka.options for Spark's Kafka source and sink."""
    options = {f"kafka.{key}": value for key, value in config.kafka.options.items()}
    return {"kafka.bootstrap.servers": config.kafka.bootstrap_servers, **options}


def reachable(config: Settings, timeout_seconds: float = 2.0) -> bool:
    """Whether any bootstrap server accepts a connection. Raises ConfigError for an address that is not host:port."""
    for server in config.kafka.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout_seconds):
                return True
        except OSError:
            continue
        except (ValueError, OverflowError) as error:
            raise ConfigError(
                f"kafka.bootstrap_servers must be host:port[,host:port], not {server}"
            ) from error
    return False


def require_broker(config: Settings) -> None:
    """Raise ServiceUnavailableError where the broker accepts no connection."""
    if not reachable(config):
        raise away(config)


class _Connections(KafkaConnectionManager):
    """kafka-python's connections, which end a client at once where the broker refuses it: kafka-python tries again
    until its time is up, and then reports a timeout."""

    _refused: Exception | None = None

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        """A transport that hands on what it received before the end of a connection. A broker closes it right after
        the answer to a wrong password, and kafka-python would forget an answer that it reads together with the end."""
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        receive = transport._sock_recv  # noqa: SLF001 - kafka-python has no other place for it

        def received() -> tuple[bytes, Exception | None]:
            data, error = receive()
            return data, None if data else error  # the next call finds the end again

        transport._sock_recv = received  # noqa: SLF001
        return transport

    def get_connection(self, node_id: Any, **options: Any) -> Any:
        """A connection to a node. Raises the error for which one was refused before."""
        if self._refused is not None:
            raise self._refused
        connection = super().get_connection(node_id, **options)
        connection.init_future.add_errback(self._note)
        return connection

    def _note(self, error: Exception) -> None:
        if not isinstance(error, KafkaError | ActivityError | OSError):  # credentials that cannot be had
            error = SaslAuthenticationFailedError(f"{type(error).__name__}: {error}")
        if isinstance(error, ActivityError) or is_refusal(error):
            self._refused = error


def _typed(value: Any, default: object) -> Any:
    """An option as kafka-python wants it: kafka.options holds text. Raises ValueError for what is no number."""
    if not isinstance(value, str) or not isinstance(default, bool | int | float):
        return value
    return value.lower() == "true" if isinstance(default, bool) else type(default)(value)


@contextmanager
def _closed_if_not_made() -> Iterator[Callable[..., KafkaNetClient]]:
    """What kafka-python makes its network client by; its thread ends where the client around it is not made."""
    made: list[KafkaNetClient] = []

    def make(**options: Any) -> KafkaNetClient:
        net = NetworkSelector(**options)
        made.append(KafkaNetClient(net=net, manager=_Connections(net, **options), **options))
        return made[-1]

    try:
        yield make
    except BaseException:
        for one in made:
            one.close()
        raise


def make(config: Settings, kind: Any, **options: Any) -> Any:
    """A client of kafka-python with kafka.options and these; the caller closes it.

    Raises ServiceUnavailableError where Kafka does not answer, BrokerError where it refuses, ConfigError for options
    that cannot be right.
    """
    require_broker(config)
    others = {key for one in _KINDS for key in one.DEFAULT_CONFIG} - set(kind.DEFAULT_CONFIG)
    with explained(config), _closed_if_not_made() as network:
        own = {"bootstrap_timeout_ms": TIMEOUT_MS, "kafka_client": network}
        try:
            # what only another kind of client knows (compression.type) is none of this one's business
            given = {
                key: _typed(value, kind.DEFAULT_CONFIG.get(key))
                for key, value in client_options(config).items()
                if key not in others
            }
            return kind(**{**own, **given, **options})
        except (AssertionError, TypeError, ValueError) as error:
            raise ConfigError(f"kafka.options are not valid for kafka-python: {error}") from error


@contextmanager
def _client(config: Settings, kind: Any, **options: Any) -> Iterator[Any]:
    client = make(config, kind, **options)
    try:
        with explained(config):
            yield client
    finally:
        client.close()


@contextmanager
def consumer(config: Settings, **options: Any) -> Iterator[KafkaConsumer]:
    """A kafka-python consumer, closed at the end; it reads by `kafka.isolation_level`.

    Raises ServiceUnavailableError where Kafka does not answer, BrokerError where it refuses.
    """
    defaults = {
        "enable_auto_commit": False,
        "isolation_level": config.kafka.isolation_level,
        # of messages that the broker has deleted meanwhile, go on with the oldest that are left
        "auto_offset_reset": "earliest",
    }
    with _client(config, KafkaConsumer, **{**defaults, **options}) as client:
        yield client


@contextmanager
def admin(config: Settings, timeout_ms: int = TIMEOUT_MS) -> Iterator[KafkaAdminClient]:
    """A kafka-python admin client, closed at the end. Raises as `consumer` does."""
    times = {"bootstrap_timeout_ms": timeout_ms, "request_timeout_ms": timeout_ms}
    with _client(config, KafkaAdminClient, **times) as client:
        yield client


class _Producer(KafkaProducer):
    """A producer that raises the first failure of a message, at the next one or at the end: kafka-python tells it
    only to who asks the future of that message."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self._settings, self._known = settings, set[str]()
        self._failure: Exception | None = None
        super().__init__(**options)

    def send(self, topic: str, *arguments: Any, **options: Any) -> Any:
        """As KafkaProducer.send. Raises BrokerError where the topic does not exist or the message is too large."""
        self.check()
        # kafka-python waits a minute for a topic that does not exist
        if topic not in self._known:
            require_topic(self._settings, topic)
            self._known.add(topic)
        return super().send(topic, *arguments, **options).add_errback(self._note)

    def check(self) -> None:
        """Raise the failure of a message sent before, if there was one."""
        if self._failure is not None:
            raise self._failure

    def _note(self, error: Exception) -> None:
        self._failure = self._failure or error


@contextmanager
def producer(config: Settings, **options: Any) -> Iterator[KafkaProducer]:
    """A kafka-python producer with acks=all, flushed and closed at the end.

    Raises, also at the end, what became of the first message that failed: ServiceUnavailableError where Kafka does not
    answer, BrokerError where it refuses.
    """
    defaults = {"acks": "all", "linger_ms": 20, "batch_size": 262_144}
    with _client(config, _Producer, settings=config, **{**defaults, **options}) as client:
        yield client
        client.flush()
        client.check()


def described(client: KafkaAdminClient, topic: str) -> Any:
    """What `describe_topics` returns for a topic; None where it does not exist. Raises Kafka's error of the topic."""
    found = client.describe_topics([topic])[0]
    error = for_code(found["error_code"])
    if error in (NoError, UnknownTopicOrPartitionError):
        return found if error is NoError else None
    raise error(topic)


def topic_exists(config: Settings, topic: str, timeout_ms: int = TIMEOUT_MS) -> bool:
    """Whether Kafka has a topic. Raises BrokerAuthorizationError where this user may not know, TopicRefusedError where
    none can have that name."""
    with admin(config, timeout_ms) as client:
        # the list leaves out what this user may not see
        return topic in client.list_topics() or described(client, topic) is not None


def require_topic(config: Settings, topic: str, timeout_ms: int = TIMEOUT_MS) -> None:
    """Raise NoTopicError where Kafka has no such topic."""
    if not topic_exists(config, topic, timeout_ms):
        raise no_topic(config, topic)


def partitions(client: KafkaConsumer, config: Settings, topic: str) -> list[TopicPartition]:
    """The partitions of a topic, in order; empty where it does not exist.

    Raises BrokerAuthorizationError where this user may not know.
    """
    numbers = client.partitions_for_topic(topic)
    # to kafka-python, a topic that this user may not see is one that does not exist
    if not numbers and topic_exists(config, topic):
        raise away(config, f"the topic {topic} has no partition yet")
    return [TopicPartition(topic, number) for number in sorted(numbers or ())]


def topic_ends(config: Settings, topic: str) -> dict[int, tuple[int, int]] | None:
    """Partition -> (first offset retained, offset after the last that may be read); None where the topic does not
    exist. Raises ServiceUnavailableError where Kafka does not answer, BrokerError where it refuses."""
    with consumer(config) as client:
        parts = partitions(client, config, topic)
        if not parts:
            return None
        first = client.beginning_offsets(parts, timeout_ms=TIMEOUT_MS)
        last = client.end_offsets(parts, timeout_ms=TIMEOUT_MS)
    return {part.partition: (first[part], last[part]) for part in parts}


def read_until(
    client: KafkaConsumer, config: Settings, ends: dict[TopicPartition, int]
) -> Iterator[list[ConsumerRecord]]:
    """The records of assigned partitions from where they are up to these offsets, some at a time.

    Raises ServiceUnavailableError where none arrive for some seconds, NoTopicError where the topic was deleted.
    """
    reached = {part: client.position(part, timeout_ms=TIMEOUT_MS) for part in ends}
    since = time.monotonic()
    while left := [part for part in ends if reached[part] < ends[part]]:
        polled = client.poll(timeout_ms=_POLL_MS)
        for part, records in polled.items():
            if records := [record for record in records if record.offset < ends[part]]:
                yield records
        # markers of transactions take offsets, and are no records
        now = {part: client.position(part, timeout_ms=TIMEOUT_MS) for part in ends}
        if now != reached:
            reached, since = now, time.monotonic()
        elif time.monotonic() - since > TIMEOUT_MS / 1000:
            require_topic(config, left[0].topic)
            raise ServiceUnavailableError(
                f"Kafka at {config.kafka.bootstrap_servers} stopped sending the topic {left[0].topic}; nothing is "
                "lost, try again"
            )


def _newest_before(
    client: KafkaConsumer, config: Settings, part: TopicPartition, first: int, until: int
) -> int | None:
    """When the newest record before an offset arrived, in milliseconds; None where there is none."""
    client.assign([part])
    # most often the record just before it; not where that offset is a transaction's marker, or was aborted
    for back in (1, 1000, 100_000):
        client.seek(part, max(first, until - back))
        found = [
            record.timestamp for records in read_until(client, config, {part: until}) for record in records
        ]
        if found:
            return int(found[-1])
    return None


def offsets_before(config: Settings, topic: str, until: dict[int, int], seconds: float) -> dict[int, int]:
    """Partition -> offset from which to read again all messages that arrived in the `seconds` before `until`.

    until : partition -> offset after the last one read. The result is never above it, and never below the first
        offset retained.
    """
    start = dict(until)
    with consumer(config) as client:
        parts = {number: TopicPartition(topic, number) for number in until}
        first = client.beginning_offsets(list(parts.values()), timeout_ms=TIMEOUT_MS)
        newest: dict[int, int] = {}
        for number, part in parts.items():
            at = None
            if until[number] > first[part]:
                at = _newest_before(client, config, part, first[part], until[number])
            if at is None:
                start[number] = first[part]
            else:
                newest[number] = at
        if newest:
            # one instant for all partitions: a window's readings share it whatever partition they came by
            instant_ms = int(min(newest.values()) - seconds * 1000)
            by_time = client.offsets_for_times(
                {parts[number]: max(0, instant_ms) for number in newest}, timeout_ms=TIMEOUT_MS
            )
            for number in newest:
                hit = by_time.get(parts[number])
                start[number] = min(until[number], hit.offset if hit else until[number])
    return start
