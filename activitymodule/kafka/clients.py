"""The broker as this project sees it: clients from the settings, and where a topic begins and ends."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

# kafka.options are those of the Java client, which is Spark's. What of them kafka-python does not know:
_JAVA_ONLY = re.compile(
    r"sasl\.(jaas\.config|.*\.class|oauthbearer\..*|login\..*)|ssl\.(truststore|keystore|endpoint)\..*"
)
_JAAS_OPTION = re.compile(r"""(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s;"']+))""")
_GOOGLE = "com.google.cloud.hosted.kafka.auth.GcpLoginCallbackHandler"
_TIMEOUT_MS = 15_000


def _jaas(text: str) -> dict[str, str]:
    """The options of a line of JAAS: `some.LoginModule required username="..." password="...";`."""
    return {
        name: re.sub(r"\\(.)", r"\1", double or single) or plain
        for name, double, single, plain in _JAAS_OPTION.findall(text)
    }


@lru_cache(maxsize=1)
def _google_tokens() -> Any:
    from activitymodule.kafka.authentication import GoogleTokens

    return GoogleTokens()


def client_options(settings: Settings) -> dict[str, Any]:
    """Options every kafka-python client of ours is made with: kafka.options in its spelling.

    The user's name and password are taken out of sasl.jaas.config (PLAIN, SCRAM); AWS_MSK_IAM is kafka-python's own;
    OAUTHBEARER is known with Google's handler. Raises ConfigError for any other OAUTHBEARER.
    """
    given = settings.kafka.options
    # Java's spelling of an option (security.protocol) is kafka-python's with underscores
    options: dict[str, Any] = {
        key.replace(".", "_"): value for key, value in given.items() if not _JAVA_ONLY.fullmatch(key)
    }
    if given.get("ssl.endpoint.identification.algorithm") == "":
        options["ssl_check_hostname"] = False
    if given.get("ssl.truststore.type", "").upper() == "PEM" and "ssl.truststore.location" in given:
        options["ssl_cafile"] = given["ssl.truststore.location"]
    mechanism = given.get("sasl.mechanism", "")
    if mechanism == "PLAIN" or mechanism.startswith("SCRAM-"):
        user = _jaas(given.get("sasl.jaas.config", ""))
        for name in ("username", "password"):
            if name in user:
                options.setdefault(f"sasl_plain_{name}", user[name])
    elif mechanism == "OAUTHBEARER":
        if given.get("sasl.login.callback.handler.class") != _GOOGLE:
            raise ConfigError(
                f"kafka.options: OAUTHBEARER is known with sasl.login.callback.handler.class {_GOOGLE} only; "
                "use SCRAM-SHA-512, which every client understands"
            )
        options["sasl_oauth_token_provider"] = _google_tokens()
    return {"bootstrap_servers": settings.kafka.bootstrap_servers.split(","), **options}


def spark_kafka_options(settings: Settings) -> dict[str, str]:
    """The same for Spark's Kafka source and sink."""
    options = {f"kafka.{key}": value for key, value in settings.kafka.options.items()}
    return {"kafka.bootstrap.servers": settings.kafka.bootstrap_servers, **options}


def reachable(settings: Settings, timeout_seconds: float = 2.0) -> bool:
    """Whether any bootstrap server takes a connection."""
    for server in settings.kafka.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout_seconds):
                return True
        except OSError:
            continue
        except ValueError as error:
            raise ConfigError(
                f"kafka.bootstrap_servers must be host:port[,host:port]; given: {server}"
            ) from error
    return False


def _away(settings: Settings, error: Exception | None = None) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"Kafka at {settings.kafka.bootstrap_servers} does not answer"
        f"{f' ({type(error).__name__})' if error else ''}; start it with `activity up`"
    )


@contextmanager
def _client(settings: Settings, make: Any, **options: Any) -> Iterator[Any]:
    from kafka.errors import KafkaError

    if not reachable(settings):
        raise _away(settings)
    try:
        client = make(**client_options(settings), **options)
    except KafkaError as error:
        raise _away(settings, error) from error
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"kafka.options do not suit kafka-python: {error}") from error
    try:
        yield client
    except KafkaError as error:
        raise _away(settings, error) from error
    finally:
        client.close()


@contextmanager
def consumer(settings: Settings, **options: Any) -> Iterator[KafkaConsumer]:
    """A kafka-python consumer, closed at the end; ServiceUnavailableError where the broker is away."""
    from kafka import KafkaConsumer

    with _client(settings, KafkaConsumer, **{"enable_auto_commit": False, **options}) as client:
        yield client


@contextmanager
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """A kafka-python admin client, closed at the end; ServiceUnavailableError where the broker is away."""
    from kafka import KafkaAdminClient

    with _client(settings, KafkaAdminClient) as client:
        yield client


@contextmanager
def producer(settings: Settings, **options: Any) -> Iterator[KafkaProducer]:
    """A kafka-python producer that waits for the broker's word; flushed and closed at the end."""
    from kafka import KafkaProducer

    defaults = {"acks": "all", "linger_ms": 20, "batch_size": 262_144}
    with _client(settings, KafkaProducer, **{**defaults, **options}) as client:
        yield client
        client.flush()


def topic_ends(settings: Settings, topic: str) -> dict[int, tuple[int, int]] | None:
    """Partition -> (first offset still there, offset after the last); None where there is no such topic."""
    from kafka import TopicPartition

    with consumer(settings) as client:
        partitions = client.partitions_for_topic(topic)
        if not partitions:
            return None
        parts = [TopicPartition(topic, number) for number in sorted(partitions)]
        first = client.beginning_offsets(parts, timeout_ms=_TIMEOUT_MS)
        last = client.end_offsets(parts, timeout_ms=_TIMEOUT_MS)
    return {part.partition: (first[part], last[part]) for part in parts}


def offsets_before(settings: Settings, topic: str, until: dict[int, int], seconds: float) -> dict[int, int]:
    """Where to read again from so as to see everything that arrived in the `seconds` before `until`.

    `until` is partition -> the offset after the last one read. The answer is partition -> offset, never above
    `until` and never below what the topic still holds.
    """
    from kafka import TopicPartition

    start = dict(until)
    with consumer(settings, max_poll_records=1) as client:
        parts = {number: TopicPartition(topic, number) for number in until}
        first = client.beginning_offsets(list(parts.values()), timeout_ms=_TIMEOUT_MS)
        newest: dict[int, int] = {}
        for number, part in parts.items():
            if until[number] <= first[part]:
                start[number] = first[part]
                continue
            client.assign([part])
            client.seek(part, until[number] - 1)
            polled = client.poll(timeout_ms=_TIMEOUT_MS).get(part)
            if not polled:
                start[number] = first[part]
                continue
            newest[number] = polled[0].timestamp
        if newest:
            # one instant for all partitions: a window's readings share it whatever partition they came by
            instant_ms = int(min(newest.values()) - seconds * 1000)
            found = client.offsets_for_times(
                {parts[number]: max(0, instant_ms) for number in newest}, timeout_ms=_TIMEOUT_MS
            )
            for number in newest:
                hit = found.get(parts[number])
                start[number] = min(until[number], hit.offset if hit else until[number])
    return start
