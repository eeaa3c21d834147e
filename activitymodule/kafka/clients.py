"""Kafka clients from the settings, and the offsets of a topic."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.kafka.authentication import GoogleTokens
from activitymodule.settings import Settings

# kafka.options are those of the Java client, which Spark uses. kafka-python does not know these:
_JAVA_ONLY = re.compile(
    r"sasl\.(jaas\.config|.*\.class|oauthbearer\..*|login\..*)|ssl\.(truststore|keystore|endpoint)\..*"
)
_JAAS_OPTION = re.compile(r"""(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s;"']+))""")
_GOOGLE = "com.google.cloud.hosted.kafka.auth.GcpLoginCallbackHandler"
_TIMEOUT_MS = 15_000

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


def _away(config: Settings, error: Exception | None = None) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"Kafka at {config.kafka.bootstrap_servers} does not answer"
        f"{f' ({type(error).__name__})' if error else ''}; start it with `activity up`"
    )


@contextmanager
def _client(config: Settings, make: Any, **options: Any) -> Iterator[Any]:
    if not reachable(config):
        raise _away(config)
    try:
        client = make(**client_options(config), **options)
    except KafkaError as error:
        raise _away(config, error) from error
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"kafka.options are not valid for kafka-python: {error}") from error
    try:
        yield client
    except KafkaError as error:
        raise _away(config, error) from error
    finally:
        client.close()


@contextmanager
def consumer(config: Settings, **options: Any) -> Iterator[KafkaConsumer]:
    """A kafka-python consumer, closed at the end. Raises ServiceUnavailableError where Kafka does not answer."""
    with _client(config, KafkaConsumer, **{"enable_auto_commit": False, **options}) as client:
        yield client


@contextmanager
def admin(config: Settings) -> Iterator[KafkaAdminClient]:
    """A kafka-python admin client, closed at the end. Raises ServiceUnavailableError where Kafka does not answer."""
    with _client(config, KafkaAdminClient) as client:
        yield client


@contextmanager
def producer(config: Settings, **options: Any) -> Iterator[KafkaProducer]:
    """A kafka-python producer with acks=all, flushed and closed at the end.

    Raises ServiceUnavailableError where Kafka does not answer.
    """
    defaults = {"acks": "all", "linger_ms": 20, "batch_size": 262_144}
    with _client(config, KafkaProducer, **{**defaults, **options}) as client:
        yield client
        client.flush()


def topic_ends(config: Settings, topic: str) -> dict[int, tuple[int, int]] | None:
    """Partition -> (first offset retained, offset after the last); None where the topic does not exist."""
    with consumer(config) as client:
        partitions = client.partitions_for_topic(topic)
        if not partitions:
            return None
        parts = [TopicPartition(topic, number) for number in sorted(partitions)]
        first = client.beginning_offsets(parts, timeout_ms=_TIMEOUT_MS)
        last = client.end_offsets(parts, timeout_ms=_TIMEOUT_MS)
    return {part.partition: (first[part], last[part]) for part in parts}


def offsets_before(config: Settings, topic: str, until: dict[int, int], seconds: float) -> dict[int, int]:
    """Partition -> offset from which to read again all messages that arrived in the `seconds` before `until`.

    until : partition -> offset after the last one read. The result is never above it, and never below the first
        offset retained.
    """
    start = dict(until)
    with consumer(config, max_poll_records=1) as client:
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
            by_time = client.offsets_for_times(
                {parts[number]: max(0, instant_ms) for number in newest}, timeout_ms=_TIMEOUT_MS
            )
            for number in newest:
                hit = by_time.get(parts[number])
                start[number] = min(until[number], hit.offset if hit else until[number])
    return start
