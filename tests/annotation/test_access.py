"""Who may call a route, and how large a body may be, is settled before the body is read; no service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.routing import APIRoute
from nicegui import core

from activitymodule.store.users import Grant
from annotation import app, auth, pages, registry
from annotation.access import Sender
from annotation.auth import User
from annotation.bodies import UPLOAD_BYTES, USUAL_BYTES, Limited

CHUNK = b"[" * 16_384
PHONE, BOUND = Grant("phone"), Grant("strap", ("strap-1", "lab-*"))
BOB = User("bob", "annotator")


@dataclass
class Reply:
    """What came back, and how much of the body was read for it."""

    status: int
    detail: Any
    read: int
    headers: dict[str, str]


@pytest.fixture(scope="module")
def console() -> Iterator[FastAPI]:
    """The application behind the gate and what adds Retry-After."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "check_secret", lambda: None)
        made: Any = app.make_app()
        while not isinstance(made, FastAPI):
            made = made._app
        yield made
    core.app.middleware_stack = (
        None  # NiceGUI's application is one a process, and another test makes a console too
    )


def send(
    console: FastAPI,
    path: str,
    *,
    size: int,
    user: User | None = None,
    token: Grant | None = None,
    headers: dict[str, str] | None = None,
    stated: bool = False,
) -> Reply:
    """POST a body of so many bytes, in chunks, as a caller that the gate has identified."""
    sent: list[Any] = []
    read = [0]
    given = {"content-type": "application/json"} | (headers or {})
    if stated:
        given["content-length"] = str(size)

    async def receive() -> dict[str, Any]:
        part = min(len(CHUNK), size - read[0])
        read[0] += part
        return {"type": "http.request", "body": CHUNK[:part], "more_body": read[0] < size}

    async def answer(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "headers": [(k.encode(), v.encode()) for k, v in given.items()],
    }  # fmt: skip
    body = Limited(scope, receive)
    scope["state"] = {"user": user, "token": token, "session": None, "body": body}
    # in a thread: the browser of other tests leaves its loop in this one
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, console(scope, body, answer)).result()  # type: ignore[arg-type]
    start = next(one for one in sent if one["type"] == "http.response.start")
    text = b"".join(one.get("body", b"") for one in sent if one["type"] == "http.response.body")
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = text
    return Reply(start["status"], detail, read[0], {k.decode(): v.decode() for k, v in start["headers"]})


def posts(console: FastAPI) -> list[str]:
    return sorted(
        one.path for one in console.routes if isinstance(one, APIRoute) and "POST" in (one.methods or ())
    )


def test_the_routes_that_take_a_body_are_these(console: FastAPI) -> None:
    """A new one is tried by the tests below."""
    assert {
        "/predict",
        "/batch_predict",
        "/ingest",
        "/ingest/sensorlogger",
        "/signin",
        "/annotate/answer",
    } < set(posts(console))


def test_no_page_has_the_path_of_a_route(console: FastAPI) -> None:
    """The route would answer in its place."""
    registry.load_pages(pages)
    routes = {
        one.path for one in console.routes if isinstance(one, APIRoute) and "GET" in (one.methods or ())
    }
    assert "/health" in routes
    assert {page.path for page in registry.navigation("admin")} & routes == set()


@pytest.mark.parametrize(
    ("caller", "path", "status"),
    [
        (PHONE, "/annotate/answer", 401),
        (PHONE, "/annotate/together", 401),
        (PHONE, "/annotate/renew", 401),
        (PHONE, "/annotate/release", 401),
        (PHONE, "/monitoring/retraining_trigger", 401),
        (BOUND, "/monitoring/retraining_trigger", 401),
        (BOB, "/monitoring/retraining_trigger", 403),
        (None, "/predict", 401),
        (None, "/ingest/sensorlogger", 401),
    ],
)
def test_nothing_is_read_of_a_caller_who_may_not(
    console: FastAPI, caller: Grant | User | None, path: str, status: int
) -> None:
    who = {"user": caller} if isinstance(caller, User) else {"token": caller}
    for stated in (True, False):
        reply = send(console, path, size=100 << 20, stated=stated, **who)  # type: ignore[arg-type]
        assert (reply.status, reply.read) == (status, 0)
        assert isinstance(reply.detail, str)


def test_no_route_reads_more_than_its_limit(console: FastAPI) -> None:
    most = {
        "/batch_predict": 8 << 20,
        "/ingest/sensorlogger": 8 << 20,
        "/predict": 1 << 20,
        "/ingest": 1 << 20,
    }
    no_body = {"/annotate/undo", "/spans/{span_id}/undo", "/signout", "/participants/{participant}/withdraw"}
    for path in set(posts(console)) - no_body:
        for who in ({"token": PHONE}, {"user": User("anna", "admin")}):
            stated = send(console, path, size=100 << 20, stated=True, **who)  # type: ignore[arg-type]
            assert stated.read == 0, path
            counted = send(console, path, size=100 << 20, **who)  # type: ignore[arg-type]
            assert counted.read <= most.get(path, USUAL_BYTES) + len(CHUNK), path
            for reply in (stated, counted):
                # the sign-in page takes forms alone
                assert reply.status in (401, 413) or path == "/signin", path
                if reply.status == 413:
                    assert "limit" in reply.detail


def test_a_form_has_a_limit_too(console: FastAPI) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert send(console, "/signin", size=5000, headers=form, stated=True).status == 413
    counted = send(console, "/signin", size=1 << 20, headers=form)
    assert (counted.status, counted.read) == (413, len(CHUNK))


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "gzip, gzip"])
def test_a_compressed_body_is_refused_unread(console: FastAPI, encoding: str) -> None:
    for path in ("/predict", "/ingest", "/ingest/sensorlogger", "/batch_predict"):
        reply = send(console, path, size=1000, token=PHONE, headers={"content-encoding": encoding})
        assert (reply.status, reply.read) == (415, 0)
        assert encoding in reply.detail


def test_files_and_messages_of_pages_have_limits(console: FastAPI) -> None:
    def limit_of(path: str) -> int:
        return Limited({"path": path, "headers": []}, None).limit  # type: ignore[arg-type]

    assert UPLOAD_BYTES < limit_of("/_nicegui/client/x/upload/5") < 2 * UPLOAD_BYTES
    assert limit_of("/_nicegui_ws/socket.io/") == 1 << 20
    polled = send(console, "/_nicegui_ws/socket.io/", size=50 << 20, user=BOB)
    assert polled.read <= (1 << 20) + len(CHUNK)
    assert polled.status >= 400


def test_a_token_speaks_for_its_devices_only() -> None:
    Sender("token phone", PHONE).check_devices(["anything"])
    Sender("user anna", None).check_devices(["anything"])
    strap = Sender("token strap", BOUND)
    strap.check_devices(["strap-1", "lab-7", "lab-"])
    for foreign in ("strap-2", "strap-11", "strap", "lab", "xlab-1", "LAB-1"):
        with pytest.raises(HTTPException) as refused:
            strap.check_devices(["strap-1", foreign, foreign])
        assert refused.value.status_code == 403
        assert f"the device {foreign}" in refused.value.detail
