"""Whatever text comes to whichever route, the console never fails: every route, every parameter, every hard value."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin
from urllib.parse import urlsplit

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel
from rest_console import Console

import annotation.api
import annotation.pages
from annotation import registry

pytestmark = pytest.mark.integration

# as they stand in a path or a query: bad escapes, NUL, half of a surrogate pair, an override, digits of other scripts
ESCAPED = (
    "%00", "a%00b", "%ff", "%zz", "%", "%ED%A0%80", "%E2%80%AE", "%D9%A3", "%C2%B2", "..%2f..%2fetc", "'%22%3B--", "-1",
    "1e999", "NaN", "9223372036854775808", "1" * 5000, "x" * 8000, "%0D%0Ax:%20y",
)  # fmt: skip
# as they stand in JSON
WRITTEN = (
    '"\\ud800"', '"a\\u0000b"', '"\\u202e"', '"\\u0663"', '"' + "x" * 1_000_000 + '"', "1" * 5000, "1e999", "NaN",
    "-1", "9223372036854775808", "18446744073709551616", "null", "[]", "{}", '{"\\ud800": "\\ud800"}',
    "[" * 300 + "]" * 300, "[" * 5000 + "]" * 5000, '["\\ud800", 1e999]',
)  # fmt: skip
BODIES = (b"", b"\xff\xfe", b"{", b'"\\ud800"', b"[1e999]", b"1" * 5000, b"{}" * 2, b"\xed\xa0\x80", b"\0")
HEADERS = (
    {"origin": "http://["},
    {"origin": "\xff"},
    {"cookie": "activity_session=\xff\xfe; \x7f"},
    {"authorization": "Bearer \xff"},
    {"accept": "text/html", "host": "\xff["},
    {"content-length": "1" * 5000},
    {"accept-language": "\xff,;q=\xb2"},
    {"if-modified-since": "\xff", "range": "bytes=\xb2-"},
)


def routes() -> list[APIRoute]:
    every = [*registry.load_routers(annotation.api), *registry.load_pages(annotation.pages)]
    return [route for router in every for route in router.routes if isinstance(route, APIRoute)]


def with_parameters(route: APIRoute) -> Iterator[str]:
    """Its path with each hard value in each parameter."""
    plain = route.path
    for one in route.dependant.path_params:
        plain = plain.replace(f"{{{one.alias}}}", "1")
    for value in ESCAPED:
        for one in route.dependant.path_params:
            path = route.path.replace(f"{{{one.alias}}}", value)
            yield path.replace("{", "").replace("}", "")
        for one in route.dependant.query_params:
            yield f"{plain}?{one.alias}={value}"
    yield f"{plain}?{'&'.join(ESCAPED[:12])}"
    yield plain


def plain_value(kind: Any) -> Any:
    """A value that fits a field, so that the others are looked at."""
    if get_origin(kind) is list:
        return [1]
    words = [one for one in get_args(kind) if isinstance(one, str)]
    return words[0] if words else {int: 1, float: 1.0, bool: False}.get(kind, "x")


def bodies(route: APIRoute) -> Iterator[bytes]:
    """Bodies with each hard value in each field, and what is no body at all."""
    yield from BODIES
    yield from (value.encode() for value in WRITTEN)
    for one in route.dependant.body_params:
        model = one.field_info.annotation
        assert issubclass(model, BaseModel), route.path
        fields = {name: json.dumps(plain_value(info.annotation)) for name, info in model.model_fields.items()}
        for name in fields:
            for value in WRITTEN:
                # a retraining would begin with whatever else is right
                changed = {**fields, name: value, "no_such_option": "1"}
                yield ("{" + ",".join(f'"{key}":{text}' for key, text in changed.items()) + "}").encode()
                if "retraining" not in route.path:
                    yield (
                        "{" + ",".join(f'"{k}":{v}' for k, v in {**fields, name: value}.items()) + "}"
                    ).encode()


def plain_messages() -> Iterator[bytes]:
    """Messages and pushes with hard values where text and numbers are."""
    for value in WRITTEN:
        yield f'{{"device_id": {value}, "stamp": {value}, "pitch": {value}}}'.encode()
        yield f'{{"messages": [{value}, {{"device_id": "w", "stamp": 1790000000000, "roll": {value}}}]}}'.encode()
        yield (
            f'{{"deviceId": {value}, "sessionId": {value}, "payload": [{{"name": {value}, "time": {value}, '
            f'"values": {value}}}, {value}]}}'
        ).encode()
        yield f'{{"payload": [{{"name": "heart rate", "time": "{10**18}", "values": {{"bpm": {value}}}}}]}}'.encode()


class Caller:
    """Sends requests as they are given, without a library that would mend them."""

    def __init__(self, console: Console, every: int) -> None:
        """every : of so many requests in turn one is sent"""
        client = console.signed_in("boss")
        self.place = urlsplit(console.base).netloc
        self.session = {
            "cookie": f"activity_session={client.cookies['activity_session']}",
            "origin": console.base,
        }
        self.token = {"authorization": f"Bearer {console.token}"}
        self.every, self.asked, self.calls = every, 0, 0
        self.failed: list[str] = []

    def __call__(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None = None
    ) -> int | None:
        self.asked += 1
        if self.asked % self.every:
            return None
        connection = http.client.HTTPConnection(self.place, timeout=60)
        try:
            connection.putrequest(method, target, skip_host="host" in headers, skip_accept_encoding=True)
            if body is not None:
                connection.putheader("content-type", "application/json")
                connection.putheader("content-length", str(len(body)))
            for name, value in headers.items():
                connection.putheader(name, value.encode("latin-1"))
            connection.endheaders(body)
            answer = connection.getresponse()
            text = answer.read()
        except (ConnectionError, http.client.HTTPException):
            return 400  # the server hung up on what is no HTTP
        finally:
            connection.close()
        self.calls += 1
        if answer.status >= 500 and answer.status != 503:
            self.failed.append(
                f"{answer.status} {method} {target[:200]} {body[:200] if body else ''!r} {text[:200]!r}"
            )
        if answer.status >= 400 and len(text) > 100_000:
            self.failed.append(f"{method} {target[:200]} repeats what was sent")
        return answer.status


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.soak)])
def test_no_text_makes_a_route_fail(api: Console, every: int) -> None:
    call = Caller(api, every)
    for route in routes():
        for method in sorted(route.methods - {"HEAD", "OPTIONS"}):
            if route.path in ("/signout",):
                continue
            for target in with_parameters(route):
                for who in (call.session, call.token):
                    call(method, target, who, b"[]" if method != "GET" else None)
            if method != "GET":
                plain = route.path.replace("{item_id}", "1")
                more = plain_messages() if not route.dependant.body_params else ()
                for body in (*bodies(route), *more):
                    call(method, plain, call.session, body)
    for path in (
        *(page.path for page in registry._pages.values()),
        "/static/",
        "/_nicegui/",
        "/nowhere/",
        "/",
    ):
        for value in ESCAPED:
            call("GET", f"{path}?device={value}&watch={value}&{value}", call.session)
            call("GET", f"{path.rstrip('/')}/{value}", call.session)
    for headers in HEADERS:
        for path in ("/", "/health", "/metrics", "/static/console.css", "/monitoring/drift"):
            call("GET", path, {**call.session, **headers})
    assert call.failed == []
    assert call.calls > 1000 / every
    assert b"Traceback" not in api.log.read_bytes()
