"""kafka.options are written once, in Java's spelling, and both clients accept them."""

from __future__ import annotations

import base64
import json
import select
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaConnectionError
from kafka.net.sasl import get_sasl_mechanism
from kafka.net.selector import NetworkSelector

from activitymodule import settings as config
from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.kafka import clients
from activitymodule.kafka.authentication import GoogleTokens
from activitymodule.settings import Kafka, Settings

ROOT = config.project_root()
SCRAM = {
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.jaas.config": (
        'org.apache.kafka.common.security.scram.ScramLoginModule required username="a b" password="p\\"w;=\'x";'
    ),
    "ssl.truststore.type": "PEM",
    "ssl.truststore.location": "/etc/ca.pem",
    "ssl.endpoint.identification.algorithm": "",
}


def of(options: dict[str, str]) -> Settings:
    return Settings(kafka=Kafka(bootstrap_servers="one:1,two:2", options=options))


def cloud(name: str) -> Settings:
    return config.load({"ACTIVITY_CONFIG": str(ROOT / f"config.{name}.yaml")})


@pytest.mark.parametrize("client", [KafkaConsumer, KafkaProducer, KafkaAdminClient])
@pytest.mark.parametrize("settings", [of({}), of(SCRAM), cloud("aws"), cloud("gcp")], ids=str)
def test_every_client_of_kafka_python_knows_every_option(client: Any, settings: Settings) -> None:
    """A client rejects an unknown option before it connects."""
    assert set(clients.client_options(settings)) <= set(client.DEFAULT_CONFIG)


@pytest.mark.parametrize("settings", [of(SCRAM), cloud("aws"), cloud("gcp")], ids=str)
def test_spark_gets_the_options_unchanged(settings: Settings) -> None:
    options = clients.spark_kafka_options(settings)
    assert options.pop("kafka.bootstrap.servers") == settings.kafka.bootstrap_servers
    assert options == {f"kafka.{key}": value for key, value in settings.kafka.options.items()}


def test_user_and_password_are_read_from_the_jaas_line() -> None:
    options = clients.client_options(of(SCRAM))
    assert options == {
        "bootstrap_servers": ["one:1", "two:2"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "a b",
        "sasl_plain_password": "p\"w;='x",
        "ssl_check_hostname": False,
        "ssl_cafile": "/etc/ca.pem",
    }


def test_kafka_pythons_own_spelling_wins() -> None:
    own = {**SCRAM, "sasl.plain.username": "u", "sasl_plain_password": "w"}
    options = clients.client_options(of(own))
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("u", "w")


def test_msk_authenticates_by_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of config.aws.yaml select kafka-python's mechanism, which signs by the environment's credentials."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_SESSION_TOKEN": "of-a-role",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    options = clients.client_options(cloud("aws"))
    mechanism = get_sasl_mechanism(options["sasl_mechanism"])(host="b-1.example.org", **options)
    signed = json.loads(mechanism.auth_bytes())
    assert signed["action"] == "kafka-cluster:Connect"
    assert signed["host"] == "b-1.example.org"
    assert signed["x-amz-credential"].startswith("AKIDEXAMPLE/")
    assert signed["x-amz-credential"].endswith("/eu-central-1/kafka-cluster/aws4_request")
    assert signed["x-amz-security-token"] == "of-a-role"


class Account(Credentials):
    """Credentials of a service account; each refresh returns another token."""

    service_account_email = "spark@example.iam.gserviceaccount.com"

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    def refresh(self, request: object) -> None:
        self.made += 1
        self.token = f"token-{self.made}"
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)


def parts_of(token: str) -> list[bytes]:
    return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]


def test_google_authenticates_by_a_token() -> None:
    account = Account()
    tokens = GoogleTokens(account)
    header, claims, access = parts_of(tokens.token())
    assert json.loads(header) == {"typ": "JWT", "alg": "GOOG_OAUTH2_TOKEN"}
    values = json.loads(claims)
    assert (values["sub"], values["iss"], values["scope"]) == (
        account.service_account_email,
        "Google",
        "kafka",
    )
    assert values["exp"] - values["iat"] == pytest.approx(3600, abs=60)
    assert access == b"token-1"
    mechanism = get_sasl_mechanism("OAUTHBEARER")(sasl_oauth_token_provider=tokens)
    sent = mechanism.auth_bytes()
    assert sent.startswith(b"n,,\x01auth=Bearer ")
    assert parts_of(sent.decode().removeprefix("n,,\x01auth=Bearer ").rstrip("\x01"))[2] == b"token-1"


def test_a_token_is_reused_until_it_expires() -> None:
    account = Account()
    tokens = GoogleTokens(account)
    assert parts_of(tokens.token())[2] == parts_of(tokens.token())[2] == b"token-1"
    account.expiry = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=1)
    assert parts_of(tokens.token())[2] == b"token-2"


def test_missing_credentials_of_google_are_an_error() -> None:
    class Nobody(Account):
        def refresh(self, request: object) -> None:
            raise RefreshError("no account here")

    with pytest.raises(ServiceUnavailableError):
        GoogleTokens(Nobody()).token()


def test_another_oauthbearer_is_rejected() -> None:
    with pytest.raises(ConfigError):
        clients.client_options(of({"sasl.mechanism": "OAUTHBEARER"}))


def test_an_answer_is_read_that_comes_together_with_the_end_of_the_connection() -> None:
    """As a broker answers a wrong password: kafka-python would try again until its time is up."""
    net = NetworkSelector()
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = clients._Connections(net, bootstrap_servers=[f"127.0.0.1:{server.getsockname()[1]}"])
        (node,) = connections.cluster.bootstrap_brokers()
        transport = net.run(connections._build_transport, node)
        accepted, _ = server.accept()
        accepted.sendall(b"no")
        accepted.close()
        until_end = select.poll()
        until_end.register(transport._sock, select.POLLRDHUP)
        assert until_end.poll(10_000)
        assert transport._sock_recv() == (b"no", None)
        assert isinstance(transport._sock_recv()[1], KafkaConnectionError)
    transport.close()
    connections.close()
    net.close()
