"""A server in front of moto's: it checks each call against botocore's models, and answers with the faults of a test."""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.session
import requests

_HOP = {"connection", "transfer-encoding", "content-encoding", "content-length", "server", "date"}
# services by their names in signatures
_MODELS = {"elasticmapreduce": "emr", "emr-serverless": "emr-serverless", "glue": "glue"}
_LABEL = re.compile(r"\\\{[^}]+\\\}")


@dataclass
class Fault:
    """An answer in place of moto's. call : a pattern of `SERVICE OPERATION`; times : after so many it is over; after :
    so many calls that pass before."""

    call: str
    status: int
    code: str
    message: str = "it is so"
    times: int = 1
    after: int = 0


@dataclass
class FaultyCloud:
    """faults : to come; answers : what moto lacks, by operation; calls : made; problems : what a model refuses."""

    address: str = ""
    faults: list[Fault] = field(default_factory=list)
    answers: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """As at the start."""
        self.faults, self.answers, self.calls, self.problems = [], {}, [], []

    def fault(self, call: str) -> Fault | None:
        for one in self.faults:
            if re.fullmatch(one.call, call) and one.times:
                if one.after:
                    one.after -= 1
                    continue
                one.times -= 1
                return one
        return None


@functools.cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(_MODELS[service])


def _operation(service: str, method: str, path: str, target: str | None, body: bytes) -> str:
    """The name of an operation: of the header, of the body of a query, or of the model's paths."""
    if target:
        return target.rpartition(".")[2]
    if service == "iam":
        return parse_qs(body.decode())["Action"][0]
    if service not in _MODELS:
        return f"{method} {path}"
    model = _model(service)
    for name in model.operation_names:
        http = model.operation_model(name).http
        pattern = _LABEL.sub("[^/]+", re.escape(http["requestUri"].partition("?")[0]))
        if http["method"] == method and re.fullmatch(f"{pattern}/?", path):
            return str(name)
    raise AssertionError(f"no operation of {service} is {method} {path}")


def _problems(shape: Any, value: Any, where: str) -> Iterator[str]:
    """What the model of a shape refuses in a value: unknown members, values of no enum, patterns and limits."""
    if shape.type_name == "structure":
        members = {one.serialization.get("name", name): one for name, one in shape.members.items()}
        for name, one in value.items():
            if name not in members:
                yield f"{where} has no {name}"
            else:
                yield from _problems(members[name], one, f"{where}.{name}")
    elif shape.type_name == "list":
        for one in value:
            yield from _problems(shape.member, one, f"{where}[]")
    elif shape.type_name == "map":
        for name, one in value.items():
            yield from _problems(shape.key, name, f"{where} (key {name})")
            yield from _problems(shape.value, one, f"{where}.{name}")
    elif shape.type_name == "string":
        limits = shape.metadata
        if limits.get("enum") and value not in limits["enum"]:
            yield f"{where} is {value}, which is none of {limits['enum']}"
        # Java's classes of characters are not Python's
        pattern = limits.get("pattern", "")
        if pattern and "\\p" not in pattern and "\\u" not in pattern and not re.fullmatch(pattern, value):
            yield f"{where} is {value!r}, which {pattern} does not match"
        if not limits.get("min", 0) <= len(value) <= limits.get("max", 1 << 40):
            yield f"{where} has {len(value)} characters"
    elif shape.type_name in ("integer", "long") and not (
        shape.metadata.get("min", value) <= value <= shape.metadata.get("max", value)
    ):
        yield f"{where} is {value}"


def _error(service: str, fault: Fault) -> tuple[bytes, dict[str, str]]:
    inner = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
    if service == "s3":
        return inner.encode(), {"Content-Type": "application/xml"}
    if service == "iam":
        return f"<ErrorResponse>{inner}</ErrorResponse>".encode(), {"Content-Type": "text/xml"}
    body = json.dumps({"__type": fault.code, "message": fault.message}).encode()
    return body, {"Content-Type": "application/json", "x-amzn-ErrorType": fault.code}


@contextmanager
def faulty_cloud(behind: str) -> Iterator[FaultyCloud]:
    """A server in front of one at the address `behind`, while the block lasts."""
    cloud = FaultyCloud()
    session = requests.Session()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            service = re.findall(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", self.headers["Authorization"])[0]
            path = urlsplit(self.path).path
            operation = _operation(service, self.command, path, self.headers.get("X-Amz-Target"), body)
            cloud.calls.append(operation)
            if service in _MODELS and body:
                shape = _model(service).operation_model(operation).input_shape
                cloud.problems += _problems(shape, json.loads(body), operation)
            if fault := cloud.fault(f"{service} {operation}"):
                self.send(fault.status, *_error(service, fault))
            elif operation in cloud.answers:
                answer = json.dumps(cloud.answers[operation](json.loads(body))).encode()
                self.send(200, answer, {"Content-Type": "application/x-amz-json-1.1"})
            else:
                given = session.request(
                    self.command,
                    behind + self.path,
                    headers=dict(self.headers),
                    data=body,
                    allow_redirects=False,
                )
                self.send(given.status_code, given.content, dict(given.headers))

        def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    cloud.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        session.close()
