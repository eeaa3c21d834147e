"""Where webhooks may go, and how their requests are signed."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest
from pydantic import ValidationError

from activitymodule.errors import ConfigError, RefusedError, ServiceUnavailableError
from activitymodule.settings import Events
from activitymodule.workflows.events.addresses import checked_addresses, is_public, target_of
from activitymodule.workflows.events.signing import headers_of, is_signed, new_secret, signature
from activitymodule.workflows.events.webhooks import shown_url

INSIDE = (
    *(
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
    ),
    *(
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
    ),
    *("fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1", "2001:db8::1"),
)
OUTSIDE = ("93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:8.8.8.8")


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_outside(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A resolver that knows these names, beside what is an address already."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def resolve(host: str, port: int, **options: Any) -> list[Any]:
        return [answer for one in known.get(host, [host]) for answer in real(one, port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/hook",
        "https://[::1]:8443/hook",
        "https://[::ffff:169.254.169.254]/latest/meta-data",
        "https://2130706433/",  # 127.0.0.1 as one number
        "https://0x7f.1/",
        "https://localhost/",
        "https://inside.example/",
        "https://both.example/",
        "http://outside.example/",  # readable by all on its way
    ],
)
def test_what_lies_inside_is_refused(names: dict[str, list[str]], url: str) -> None:
    names.update(
        {
            "inside.example": ["10.0.0.7"],
            "both.example": ["93.184.215.14", "192.168.0.1"],
            "outside.example": ["93.184.215.14"],
        }
    )
    with pytest.raises(RefusedError):
        checked_addresses(target_of(url), [])


def test_what_is_named_is_allowed(names: dict[str, list[str]]) -> None:
    names["inside.example"] = ["10.0.0.7", "10.0.0.7", "93.184.215.14"]
    target = target_of("https://inside.example:8443/a?b=c")
    assert (target.host, target.port, target.path) == ("inside.example", 8443, "/a?b=c")
    assert [str(one) for one in checked_addresses(target, ["10.0.0.0/24"])] == ["10.0.0.7", "93.184.215.14"]
    assert checked_addresses(target_of("http://127.0.0.1/"), ["127.0.0.1"])
    with pytest.raises(RefusedError):
        checked_addresses(target, ["10.0.1.0/24"])
    with pytest.raises(ValidationError, match="no address and no network"):
        Events(webhook_networks=["localhost"])


def test_a_name_that_is_not_found() -> None:
    with pytest.raises(ServiceUnavailableError):
        checked_addresses(target_of("https://no-such-host.invalid/"), [])


@pytest.mark.parametrize(
    "url",
    [
        "example.org/hook",
        "ftp://example.org/",
        "https:///hook",
        "https://user:secret@example.org/",
        "https://example.org/#part",
        "https://example.org:99999/",
        "https://example.org/a b",
        "https://example.org/\r\nhost: other",
        "https://example.org/\u00e9",
        "https://[::1/",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        target_of(url)
    assert "secret" not in str(error.value)


def test_the_example_of_the_specification() -> None:
    secret, number = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    body = b'{"test": 2432232314}'
    assert signature(secret, number, 1614265330, body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_tells_what_was_signed() -> None:
    secret, other = new_secret(), new_secret()
    body, now = b'{"events":[]}', 1_790_000_000
    headers = headers_of(secret, "id", now, body)
    assert is_signed(secret, headers, body, now + 299)
    assert not is_signed(secret, headers, body, now + 301), "too old: sent again by somebody else"
    assert not is_signed(other, headers, body, now)
    assert not is_signed(secret, headers, body + b" ", now)
    for name in headers:
        assert not is_signed(secret, {**headers, name: "1"}, body, now)
        assert not is_signed(secret, {key: value for key, value in headers.items() if key != name}, body, now)
    both = {**headers, "webhook-signature": "v1,AAAA " + headers["webhook-signature"]}
    assert is_signed(secret, both, body, now), "two signatures while a secret is changed"


def test_what_may_be_secret_in_an_address_is_not_shown() -> None:
    assert shown_url("https://example.org/hook?token=abc") == "https://example.org/hook?..."
    assert shown_url("https://example.org/hook") == "https://example.org/hook"
