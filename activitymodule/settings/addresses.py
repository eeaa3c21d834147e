"""Addresses and networks as settings have them."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def _address(text: str) -> str:
    """An address as it is. Raises ValueError for one whose host or port cannot be read."""
    _ = urlsplit(text).port
    return text


Address = Annotated[str, AfterValidator(_address)]
"""The address of a service."""


def networks(given: list[str]) -> list[str]:
    """Networks as they are. Raises ValueError for what is no address and no network."""
    for one in given:
        try:
            ip_network(one)
        except ValueError as error:
            raise ValueError(f"{one} is no address and no network ({error})") from None
    return given
