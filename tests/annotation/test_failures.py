"""Errors as responses: when to try again, and whether to."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import Request

from activitymodule.errors import (
    ActivityError,
    ConfigError,
    NotAllowedError,
    ReadOnlyError,
    SchemaError,
    StoreUnavailableError,
    TimedOutError,
)
from annotation.failures import RetryAfter, explain


def answer(error: ActivityError, accept: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
    """Status, headers and body of a response to a request that ends with this error."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": "/",
        "headers": [(b"accept", accept.encode())],
        "state": {},
    }
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (await explain(Request(scope), error))(scope, receive, send)

    async def send(message: Any) -> None:
        sent.append(message)

    # in a thread: the browser of other tests leaves its loop in this one
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, RetryAfter(app)(scope, None, send)).result()  # type: ignore[arg-type]
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"].decode()


@pytest.mark.parametrize("error", [StoreUnavailableError("away"), ReadOnlyError("away")])
def test_what_passes_says_when_to_try_again(error: ActivityError) -> None:
    status, headers, body = answer(error, "application/json")
    assert (status, headers["retry-after"], body) == (503, "5", '{"detail":"away"}')
    assert "refresh" not in headers
    status, headers, body = answer(error, "text/html,*/*")
    assert (status, headers["refresh"], body) == (503, "5", "away"), "a browser loads the page again"
    assert "refresh" not in answer(error, "text/html", "POST")[1], "and sends nothing twice"


@pytest.mark.parametrize("error", [SchemaError("no"), TimedOutError("no"), NotAllowedError("no")])
def test_what_stays_does_not(error: ActivityError) -> None:
    status, headers, _ = answer(error, "text/html")
    assert status == 503
    assert not {"retry-after", "refresh"} & headers.keys()


def test_a_fault_of_the_client_is_no_503() -> None:
    assert answer(ConfigError("no"), "application/json")[0] == 422
