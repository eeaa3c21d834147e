"""Errors of Kafka's clients: those that pass, and those that do not."""

from __future__ import annotations

import inspect

import pytest
from kafka import errors as kafka

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
from activitymodule.kafka import failures
from activitymodule.settings import Settings

CONFIG = Settings()
KINDS = [one for _, one in inspect.getmembers(kafka, inspect.isclass) if issubclass(one, kafka.KafkaError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_passes_is_waited_for_and_nothing_else(kind: type[kafka.KafkaError]) -> None:
    """kafka-python tries retriable errors again by itself; of these only a missing topic stays."""
    passes = issubclass(kind, kafka.RetriableError | kafka.BrokerNotAvailableError)
    error = failures.of(CONFIG, kind("why") if kind is not kafka.LogTruncationError else kind({}))
    if passes and kind is not kafka.UnknownTopicOrPartitionError:
        assert type(error) is ServiceUnavailableError
    else:
        assert isinstance(error, BrokerError | ConfigError)
        assert "does not answer" not in str(error)
        assert "did not answer" not in str(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (kafka.SaslAuthenticationFailedError("x"), BrokerAuthenticationError),
        (kafka.UnsupportedSaslMechanismError("x"), BrokerAuthenticationError),
        (kafka.DelegationTokenExpiredError("x"), BrokerAuthenticationError),
        (
            kafka.KafkaConnectionError("Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] x"),
            BrokerAuthenticationError,
        ),
        (kafka.KafkaConnectionError("Handshake failed: EOF"), ServiceUnavailableError),
        (kafka.TopicAuthorizationFailedError({"t"}), BrokerAuthorizationError),
        (kafka.ClusterAuthorizationFailedError("x"), BrokerAuthorizationError),
        (kafka.DelegationTokenAuthorizationFailedError("x"), BrokerAuthorizationError),
        (kafka.UnsupportedCodecError("x"), CodecError),
        (kafka.UnsupportedCompressionTypeError("x"), CodecError),
        (kafka.UnknownTopicOrPartitionError("x"), NoTopicError),
        (kafka.InvalidTopicError("x"), TopicRefusedError),
        (kafka.InvalidReplicationFactorError("x"), TopicRefusedError),
        (kafka.PolicyViolationError("x"), TopicRefusedError),
        (kafka.InvalidConfigurationError("x"), TopicRefusedError),
        (kafka.MessageSizeTooLargeError("x"), MessageTooLargeError),
        (kafka.RecordListTooLargeError("x"), MessageTooLargeError),
        (kafka.CorruptRecordError("x"), CorruptMessageError),
        (kafka.IncompatibleBrokerVersion("x"), BrokerVersionError),
        (kafka.KafkaConfigurationError("x"), ConfigError),
        (kafka.UnknownError("x"), BrokerError),
        (kafka.LeaderNotAvailableError("x"), ServiceUnavailableError),
        (kafka.CoordinatorLoadInProgressError("x"), ServiceUnavailableError),
        (kafka.KafkaTimeoutError("x"), ServiceUnavailableError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_of_kafka_python_has_its_class(error: Exception, expected: type[ActivityError]) -> None:
    assert type(failures.of(CONFIG, error)) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "common.errors.TopicAuthorizationException: Not authorized to access topics: [t]",
            BrokerAuthorizationError,
        ),
        ("common.errors.SaslAuthenticationException: Invalid username", BrokerAuthenticationError),
        ("common.errors.SslAuthenticationException: SSL handshake failed", BrokerAuthenticationError),
        ("common.errors.UnknownTopicOrPartitionException: This server", NoTopicError),
        ("common.errors.InvalidTopicException: Topic 'a b' is invalid", TopicRefusedError),
        ("common.errors.RecordTooLargeException: The message is 9 bytes", MessageTooLargeError),
        ("common.errors.UnsupportedCompressionTypeException: zstd", CodecError),
        ("common.errors.CorruptRecordException: Record is corrupt", CorruptMessageError),
        ("common.errors.UnsupportedVersionException: The broker does not", BrokerVersionError),
        ("common.errors.TimeoutException: Timed out waiting for a node assignment.", None),
        ("common.errors.NotLeaderOrFollowerException: x", None),
        ("common.KafkaException: Failed to construct kafka consumer", None),
    ],
)
def test_a_java_exception_is_found_in_sparks_message(name: str, expected: type[BrokerError] | None) -> None:
    message = (
        "[STREAM_FAILED] Query terminated with exception: java.util.concurrent.ExecutionException: x\n"
        f"\tat org.apache.spark.sql.kafka010.KafkaDataConsumer.get(KafkaDataConsumer.scala:1)\n"
        f"Caused by: java.util.concurrent.ExecutionException: org.apache.kafka.{name}\n\tat java.lang.Thread.run"
    )
    found = failures.of_java(CONFIG, message)
    assert (None if found is None else type(found)) is expected
    assert failures.of_java(CONFIG, "ValueError: no") is None


def test_an_error_of_the_project_stays_as_it_is() -> None:
    error = ServiceUnavailableError("no credentials")
    assert failures.of(CONFIG, error) is error
