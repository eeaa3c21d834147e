"""A receiver of webhooks: an HTTP server on this machine that checks signatures and keeps what it took."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from activitymodule.workflows.events.signing import is_signed


class Receiver(ThreadingHTTPServer):
    """answer : the status of the next answers; taken : events that were signed; requests : of everybody"""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.headers, self.secret = 200, dict[str, str](), ""
        self.taken: list[dict[str, Any]] = []
        self.requests: list[tuple[int, dict[str, str], bytes]] = []
        self.hold = threading.Event()
        self.hold.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?token=hidden"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        receiver = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver.hold.wait(30)
        receiver.requests.append((receiver.answer, headers, body))
        if receiver.answer < 300 and is_signed(receiver.secret, headers, body, time.time()):
            receiver.taken += json.loads(body)["events"]
        self.send_response(receiver.answer)
        for name, value in receiver.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.hold.set()
            server.shutdown()
            thread.join()
