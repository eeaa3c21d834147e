"""Bodies of requests: none is longer than its route allows, however it is sent.

The gate puts `Limited` around every request. A route that takes more than the usual raises its limit with `body_of`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from annotation.sockets import CLIENT_PATH, SOCKET_PATH

USUAL_BYTES = 64 << 10
UPLOAD_BYTES = 20 << 20  # of a file
_FORM_BYTES = 64 << 10  # what a form adds to its file
_SOCKET_BYTES = 1 << 20  # a message of a page that cannot open a websocket

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Limited:
    """The body of one request: refused by its stated length before it is read, and by its bytes while it is.

    Reading it raises HTTPException: 413 if it is too long, 415 if it is compressed.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        headers = dict(scope["headers"])
        self._length = headers.get(b"content-length", b"").decode("latin-1")
        self._encoding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        self._got = 0
        path = scope["path"]
        self.limit = (
            UPLOAD_BYTES + _FORM_BYTES
            if path.startswith(CLIENT_PATH)
            else _SOCKET_BYTES
            if path.startswith(SOCKET_PATH)
            else USUAL_BYTES
        )

    def check(self) -> None:
        """Raises HTTPException if the headers alone say that the body cannot be taken."""
        if self._encoding not in ("", "identity"):
            raise HTTPException(
                415, f"the body is encoded as {self._encoding[:40]!r}; send it without a Content-Encoding"
            )
        if self._length.isascii() and self._length.isdigit() and int(self._length[:20]) > self.limit:
            raise HTTPException(
                413, f"the body has {self._length[:20]} bytes; the limit is {self.limit}, send less at once"
            )

    async def __call__(self) -> MutableMapping[str, Any]:
        """The next message of the request."""
        self.check()
        message = await self._receive()
        if message["type"] == "http.request":
            self._got += len(message.get("body", b""))
            if self._got > self.limit:
                raise HTTPException(
                    413, f"the body exceeds the limit of {self.limit} bytes; send less at once"
                )
        return message


async def body_of(request: Request, limit: int) -> bytes:
    """The request's body. Raises HTTPException 413 as soon as it is longer than `limit` bytes, 400 if it is cut off."""
    request.state.body.limit = limit
    try:
        return await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "the body is cut off; send the request again") from None
