"""Errors of the project as responses, as notices on pages, and as lines of the log."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from nicegui import ui

from activitymodule.errors import (
    ActivityError,
    BrokerError,
    ConfigError,
    DataError,
    MessageTooLargeError,
    ModelError,
    NotAllowedError,
    RefusedError,
    ServiceUnavailableError,
    StoreError,
)
from activitymodule.text import storable

# the first that fits
_STATUS: dict[type[ActivityError], int] = {
    NotAllowedError: 503,  # the console is not allowed to do its work; the client has done nothing wrong
    ConfigError: 422,
    DataError: 422,
    RefusedError: 409,
    ModelError: 503,
    ServiceUnavailableError: 503,
    StoreError: 503,
    MessageTooLargeError: 413,
    BrokerError: 503,
}
_RETRY_SECONDS = b"5"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def status_of(error: ActivityError) -> int:
    """The status of a response to a request that ended with this error."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def mark(request: Request, error: ActivityError) -> int:
    """Note what a request ended with, for `RetryAfter`; the status of its response."""
    request.state.lasting = lasts(error)
    return status_of(error)


def lasts(error: ActivityError) -> bool:
    """Whether the same request ends with this error later, too."""
    return not isinstance(error, ServiceUnavailableError | ModelError)


async def explain(request: Request, error: Exception) -> Response:
    """The response of a route to an ActivityError: JSON, or text for a browser."""
    assert isinstance(error, ActivityError)
    status, sentence = mark(request, error), storable(str(error))
    if "text/html" in request.headers.get("accept", ""):
        return PlainTextResponse(sentence, status)
    return JSONResponse({"detail": sentence}, status)


def notify(error: Exception) -> None:
    """Show an error of the project that an event of a page ended with."""
    if isinstance(error, ActivityError):
        ui.notify(str(error), type="negative", multi_line=True, timeout=10_000)


class RetryAfter:
    """ASGI middleware: a response 503 has the time to try again, unless trying again would not help.

    A browser loads its page again by itself.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request of ASGI."""

        async def noted(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] == 503:
                headers = list(message.get("headers", []))
                lasting = scope.get("state", {}).get("lasting", False)
                if not lasting and all(name.lower() != b"retry-after" for name, _ in headers):
                    headers.append((b"retry-after", _RETRY_SECONDS))
                    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
                    if scope["method"] == "GET" and b"text/html" in accepted:
                        headers.append((b"refresh", _RETRY_SECONDS))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, noted)


class _OneLine(logging.Filter):
    """An error of the project in the log is its sentence, without a trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record; all are logged."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ActivityError):
            record.msg, record.args, record.exc_info = str(error), (), None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def log_in_one_line() -> None:
    """Shorten what NiceGUI logs of errors of the project; calling it again does nothing."""
    log = logging.getLogger("nicegui")
    if not any(isinstance(one, _OneLine) for one in log.filters):
        log.addFilter(_OneLine())
