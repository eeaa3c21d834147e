"""Connections that dribble or stall end, and do not keep others out; a server without the console's pages."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import uvicorn

from activitymodule.embedded.processes import wait_until
from activitymodule.settings.sources import load
from annotation import connections, context

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says how many bytes came."""
    size, more = 0, scope["type"] == "http"
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"%4d" % size})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server with short limits."""
    own = load({"ACTIVITY_CONSOLE__REQUEST_SECONDS": "0.6"})
    monkeypatch.setattr(context, "settings", lambda: own)
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(connections, "UNFINISHED", 8)
    server = uvicorn.Server(
        uvicorn.Config(
            echo, port=0, http=connections.TimedProtocol, ws="none", lifespan="off", log_level="critical"
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    assert wait_until(lambda: server.started, 10)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


def opened(port: int, stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))


def answer(connection: socket.socket) -> bytes:
    """What comes until the other side closes, or a whole response."""
    got = b""
    try:
        while not got.endswith(b"7") and (part := connection.recv(4096)):
            got += part
    except ConnectionResetError:
        pass
    return got


def whole(port: int) -> bool:
    with ExitStack() as stack:
        connection = opened(port, stack)
        connection.sendall(REQUEST + b"Content-Length: 7\r\n\r\n1234567")
        return answer(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"\r\n",
        b"POST / HT",
        REQUEST + b"X-Slow: 1",
        REQUEST + b"Content-Length: 100\r\n\r\nabc",
        REQUEST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_an_unfinished_request_ends(port: int, begun: bytes) -> None:
    with ExitStack() as stack:
        connection = opened(port, stack)
        connection.sendall(begun)
        assert answer(connection) == b"", "closed without a response; a hang would have been a timeout"
        assert whole(port)


def test_bytes_that_dribble_do_not_extend_the_time(port: int) -> None:
    with ExitStack() as stack:
        connection = opened(port, stack)
        connection.settimeout(0.05)
        connection.sendall(REQUEST + b"Transfer-Encoding: chunked\r\n\r\n")

        def ended() -> bool:
            try:
                connection.sendall(b"1\r\na\r\n")
                return connection.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        assert wait_until(ended, 10, 0.05)


def test_the_second_request_of_a_connection_has_the_limit_too(port: int) -> None:
    with ExitStack() as stack:
        connection = opened(port, stack)
        connection.sendall(REQUEST + b"Content-Length: 7\r\n\r\n1234567")
        assert answer(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(b"\r\n")
        assert answer(connection) == b""


def test_headers_have_a_limit(port: int) -> None:
    with ExitStack() as stack:
        connection = opened(port, stack)
        connection.sendall(REQUEST)
        try:
            for number in range(40):
                connection.sendall(b"X-%d: %s\r\n" % (number, b"y" * 8000))
        except (BrokenPipeError, ConnectionResetError):
            return
        assert answer(connection)[:12] in (b"HTTP/1.1 400", b"")


def test_many_half_open_connections_keep_nobody_out(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(60):
            opened(port, stack).sendall(REQUEST)
        assert whole(port)
    assert wait_until(lambda: not connections.TimedProtocol._unfinished, 10)
