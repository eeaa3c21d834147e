"""A web archive over real HTTP on this machine, with the faults that such servers have."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """A file of the server.

    ranges, etag : whether it knows them; cut : bytes after which the first `cuts` answers end; statuses : answers
    that come first; stall : the first so many answers send half and then nothing; after : called before each answer
    with its number, to change the page; lie : bytes that the length is too large; repeat : how often it is sent
    """

    content: bytes
    ranges: bool = True
    etag: str | None = '"1"'
    cut: int | None = None
    cuts: int = 1
    statuses: list[int] = field(default_factory=list)
    html: int = 0
    stall: int = 0
    lie: int = 0
    repeat: int = 1
    after: Callable[[Page, int], None] = lambda page, number: None


class WebArchive:
    """Pages by name, and what was asked of them: `asked` counts by name, `ranges` lists (name, Range header)."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: Counter[str] = Counter()
        self.ranges: list[tuple[str, str | None]] = []
        self.sent: Counter[str] = Counter()
        self.released = threading.Event()
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                archive._answer(self)

            def log_message(self, *arguments: object) -> None:
                """Nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *arguments: object) -> None:
                """A client that went away."""

        self.server = Server(("127.0.0.1", 0), Handler)

    def address(self, name: str) -> str:
        """The address of a page."""
        return f"http://127.0.0.1:{self.server.server_port}/{name}"

    def _answer(self, to: BaseHTTPRequestHandler) -> None:
        name = to.path.lstrip("/")
        self.asked[name] += 1
        self.ranges.append((name, to.headers.get("Range")))
        page = self.pages.get(name)
        if page is None:
            to.send_error(404)
            return
        page.after(page, self.asked[name])
        if page.statuses:
            to.send_response(page.statuses.pop(0))
            to.send_header("Retry-After", "0")
            to.send_header("Content-Length", "0")
            to.end_headers()
            return
        content, status = page.content, 200
        if page.html:
            page.html -= 1
            content = b"<!DOCTYPE html><html>maintenance</html>"
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", to.headers.get("Range") or "")
        same = to.headers.get("If-Range") in (None, page.etag)
        whole = len(content)
        if asked and page.ranges and same:
            start, end = int(asked[1]), int(asked[2] or whole - 1) + 1
            status, content = 206, content[start:end]
            to.send_response(206)
            to.send_header("Content-Range", f"bytes {start}-{start + len(content) - 1}/{whole}")
        else:
            to.send_response(status)
        if page.etag:
            to.send_header("ETag", page.etag)
        to.send_header("Content-Length", str(len(content) * page.repeat + page.lie))
        to.end_headers()
        self._send(to, page, content)

    def _send(self, to: BaseHTTPRequestHandler, page: Page, content: bytes) -> None:
        name = to.path.lstrip("/")
        if page.cut is not None and page.cuts and len(content) > page.cut:
            page.cuts -= 1
            content = content[: page.cut]
            to.close_connection = True
        if page.lie:
            to.close_connection = True
        if page.stall:
            page.stall -= 1
            to.wfile.write(content[: len(content) // 2])
            to.wfile.flush()
            self.released.wait(60)
            to.close_connection = True
            return
        for _ in range(page.repeat):
            to.wfile.write(content)
        self.sent[name] += len(content)


@contextmanager
def web_archive() -> Iterator[WebArchive]:
    """A running server."""
    archive = WebArchive()
    thread = threading.Thread(target=archive.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield archive
    finally:
        archive.released.set()
        archive.server.shutdown()
        thread.join()
        archive.server.server_close()
