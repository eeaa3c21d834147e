"""Errors of Kafka's clients as this project's: those that pass, and those that waiting does not change.

kafka-python raises classes, Spark's connector gives the text of a Java exception. Both carry the names of the errors
of Kafka's protocol, by which they are distinguished here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from kafka.errors import BrokerNotAvailableError, KafkaConfigurationError, KafkaError

from activitymodule.errors import (
    ActivityError,
    BrokerAuthenticationError,
    BrokerAuthorizationError,
    BrokerError,
    BrokerVersionError,
    CodecError,
    ConfigError,
    CorruptMessageError,
    MessageTooLargeError,
    NoTopicError,
    ServiceUnavailableError,
    TopicRefusedError,
)
from activitymodule.settings import Settings

# class -> the names of the protocol's errors without Failed, Error and Exception, and what it means and what to do
_REFUSALS: dict[type[BrokerError], tuple[str, str]] = {
    BrokerAuthenticationError: (
        r"\w*Authentication|UnsupportedSaslMechanism|IllegalSaslState|Login|DelegationToken(?!Auth).*|"
        "UnacceptableCredential|PrincipalDeserialization.*",
        "refuses to let this user sign in; nothing was read or written. Correct security.protocol, mechanism, user, "
        "password or certificate in kafka.options",
    ),
    BrokerAuthorizationError: (
        r"\w*Authorization",
        "does not allow this user what was asked; nothing is lost. Grant it Describe, Read and Write on the "
        "topics (and Create, for `activity topics create`), then run the command again",
    ),
    NoTopicError: (
        "UnknownTopicOrPartition",
        "has no such topic. Make it with `activity topics create`, or correct kafka.topic and kafka.truth_topic",
    ),
    TopicRefusedError: (
        "InvalidTopic|InvalidReplicationFactor|InvalidReplicationAssignment|InvalidPartitions|InvalidConfig(uration)?|"
        "PolicyViolation|TopicDeletionDisabled",
        "refuses what a topic should be; nothing was changed. Correct its name (letters, digits, . _ - and at most "
        "249 of them), kafka.partitions or kafka.retention_hours",
    ),
    MessageTooLargeError: (
        r"MessageSizeTooLarge|RecordTooLarge|RecordListTooLarge|RecordBatchTooLarge",
        "refuses a message for its size; it was not stored. Raise the topic's max.message.bytes, or send fewer "
        "readings in a message",
    ),
    CodecError: (
        "UnsupportedCodec|UnsupportedCompressionType",
        "holds or asks for messages compressed by a codec that is not there; they stay in the topic. Install the "
        "codecs with ./init.sh (or the extra `stream`), or set another compression.type",
    ),
    CorruptMessageError: (
        "CorruptRecord|InvalidRecord|InvalidTimestamp",
        "holds or was sent messages that are damaged; they stay in the topic as they are. See the broker's log and "
        "its disk",
    ),
    BrokerVersionError: (
        "UnsupportedVersion|IncompatibleBrokerVersion|UnsupportedForMessageFormat",
        "does not know a request of this client: it is older than Kafka 2.1, or not a broker. Correct "
        "kafka.bootstrap_servers, or upgrade the broker",
    ),
}
_BY_NAME = {kind: re.compile(names) for kind, (names, _) in _REFUSALS.items()}
_JAVA = re.compile(r"(?:org\.apache\.kafka|javax\.security|kafka)\.[\w.$]*?(\w+)Exception\b(?::\s*([^\n]*))?")
_SUFFIX = re.compile(r"(Failed)?(Error|Exception)?$")
# TLS that fails does not pass; kafka-python has one class for it and for a connection that broke
_TLS = re.compile(r"\[SSL|certificate|CERTIFICATE")


def _kind(name: str) -> type[BrokerError] | None:
    stem = _SUFFIX.sub("", name)
    return next((kind for kind, names in _BY_NAME.items() if names.fullmatch(stem)), None)


def _refusal(config: Settings, kind: type[BrokerError], detail: str) -> BrokerError:
    meaning = _REFUSALS[kind][1] if kind in _REFUSALS else "refuses the request; see the broker's log"
    said = " ".join(detail.split())[:200]
    return kind(f"Kafka at {config.kafka.bootstrap_servers} {meaning} ({said})")


def is_refusal(error: BaseException) -> bool:
    """Whether an error of kafka-python stays however long one waits."""
    if not isinstance(error, KafkaError):
        return False
    if _kind(type(error).__name__) or _TLS.search(str(error)):
        return True
    return not (error.retriable or isinstance(error, BrokerNotAvailableError))


def no_topic(config: Settings, topic: str) -> NoTopicError:
    """The error of a topic that does not exist."""
    error = _refusal(config, NoTopicError, topic)
    assert isinstance(error, NoTopicError)
    return error


def away(config: Settings, why: str = "") -> ServiceUnavailableError:
    """The error of a broker that no connection reaches."""
    return ServiceUnavailableError(
        f"Kafka at {config.kafka.bootstrap_servers} does not answer{why and f' ({why})'}; start it with `activity up`"
    )


def of(config: Settings, error: Exception) -> ActivityError:
    """An error of kafka-python as one of this project's: a BrokerError where waiting does not help,
    ServiceUnavailableError where it does. One of this project's is returned as it is."""
    if isinstance(error, ActivityError):
        return error
    if isinstance(error, KafkaConfigurationError):
        return ConfigError(f"kafka.options are not valid for kafka-python: {error}")
    if not is_refusal(error):
        return ServiceUnavailableError(
            f"Kafka at {config.kafka.bootstrap_servers} did not answer in time ({type(error).__name__}); nothing is "
            "lost, try again. If that lasts: security.protocol in kafka.options, and the broker's log"
        )
    name = type(error).__name__
    kind = BrokerAuthenticationError if _TLS.search(str(error)) else _kind(name) or BrokerError
    return _refusal(config, kind, str(error))


def of_java(config: Settings, text: str) -> BrokerError | None:
    """What a Java exception of Kafka's client, somewhere in a text, refuses; None where there is none, or it passes."""
    for name, detail in _JAVA.findall(text):
        kind = _kind(name)
        if kind is not None:
            return _refusal(config, kind, f"{name}: {detail}" if detail else name)
    return None


@contextmanager
def explained(config: Settings) -> Iterator[None]:
    """Raise errors of kafka-python as this project's."""
    try:
        yield
    except KafkaError as error:
        raise of(config, error) from error
