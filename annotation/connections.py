"""Connections of clients end in time: one that does not finish its request, and one that does not read the response.

uvicorn has a limit for neither. `activity console` serves with this protocol.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from annotation import context

HEADER_SECONDS = 10.0  # from the first byte, or from connecting, to the end of the headers
HEADER_BYTES = 64 << 10
STALLED_SECONDS = 30.0  # a client that reads nothing for so long is gone
UNFINISHED = 256  # connections with an unfinished request; beyond, the oldest is closed


class TimedProtocol(HttpToolsProtocol):
    """HTTP whose requests must be complete within `console.request_seconds`, their headers within HEADER_SECONDS."""

    _unfinished: ClassVar[dict[TimedProtocol, None]] = {}  # the oldest first

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._in_headers, self._header_bytes = True, 0
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._expect_within(HEADER_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or between two."""
        before = self._in_headers
        if self._deadline is None:
            self._expect_within(HEADER_SECONDS)
        super().data_received(data)
        if before and self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES and not self.transport.is_closing():
                self.send_400_response(f"The headers exceed the limit of {HEADER_BYTES} bytes.")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_headers, self._header_bytes = True, 0
        self._expect_within(HEADER_SECONDS)

    def on_headers_complete(self) -> None:
        """The headers are complete; a body may follow."""
        self._in_headers = False
        self._expect_within(context.settings().console.request_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._expect_nothing()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Another protocol goes on with this connection."""
        self._expect_nothing()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """The client reads more slowly than the response is written."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._expect_nothing()
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)

    def _expect_within(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)
        self._unfinished.setdefault(self)
        if len(self._unfinished) > UNFINISHED:
            next(iter(self._unfinished)).transport.abort()

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None
        self._unfinished.pop(self, None)
