"""Where webhooks may go: no address inside the machine's own network, unless events.webhook_networks names it.

A name is resolved once for each request and the connection goes to the address that was checked: a name that is
resolved to another address afterwards (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from activitymodule.errors import ConfigError, RefusedError, ServiceUnavailableError

Address = IPv4Address | IPv6Address

_MOST_CHARACTERS = 2000
# addresses that carry an IPv4 address: translated (NAT64, RFC 6052 and 8215) and compatible ones
_CARRIERS = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))


@dataclass(frozen=True)
class Target:
    """A webhook's address in its parts. path : with its query"""

    scheme: str
    host: str
    port: int
    path: str


def target_of(url: str) -> Target:
    """The parts of a webhook's address. Raises ConfigError for what is none."""
    problem = None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(
            "the webhook's address cannot be read; give one such as https://example.org/hook"
        ) from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        problem = "must begin with https:// (or http:// for a network of events.webhook_networks) and a host"
    elif parts.username is not None or parts.password is not None:
        problem = "must hold no user and password: requests are signed"
    elif parts.fragment:
        problem = "must hold no #fragment: it would not be sent"
    elif len(url) > _MOST_CHARACTERS or not url.isascii() or any(one <= " " or one == "\x7f" for one in url):
        problem = f"must be at most {_MOST_CHARACTERS} ASCII characters without spaces"
    if problem:
        raise ConfigError(f"the webhook's address {problem}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname or "", port or (443 if parts.scheme == "https" else 80), path)


def checked_addresses(target: Target, networks: Sequence[str]) -> list[Address]:
    """The addresses of a host, every one checked, in the order to try them.

    networks : private ones that are allowed. Raises RefusedError where one of the addresses is not allowed,
    ServiceUnavailableError where the name is not found.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServiceUnavailableError(f"the host {target.host} is not found ({error})") from error
    addresses = [ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    allowed = [ip_network(one) for one in networks]
    for address in addresses:
        if any(address.version == one.version and address in one for one in allowed):
            continue
        if not is_public(address):
            raise RefusedError(
                f"{target.host} is {address}, which is inside this machine's own network; an address there must be in "
                "events.webhook_networks"
            )
        if target.scheme == "http":
            raise RefusedError(
                f"http:// would send events to {target.host} as readable text; use https:// (http:// is for the "
                "networks of events.webhook_networks)"
            )
    return list(dict.fromkeys(addresses))


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, and so do those that it carries."""
    return all(
        one.is_global and not (one.is_multicast or one.is_reserved or one.is_unspecified)
        for one in _with_carried(address)
    )


def _with_carried(address: Address) -> Iterator[Address]:
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is not None:
            yield mapped  # it is that address, whatever the block of IPv6 is called
            return
        if address.is_site_local:
            yield IPv4Address("10.0.0.0")
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo
        if any(address in one for one in _CARRIERS):
            yield IPv4Address(int(address) & 0xFFFFFFFF)
            return
    yield address
