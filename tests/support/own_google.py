"""Google Cloud in this process, over HTTP: Dataproc of the messages of Google's own library, and a Cloud Storage."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.protobuf import json_format

PROJECT, REGION = "a-project", "europe-west3"
_BATCHES = f"/v1/projects/{PROJECT}/locations/{REGION}/batches"
_OPERATION = re.compile(rf"/v1/(projects/{PROJECT}/regions/{REGION}/operations/[0-9a-f-]+):cancel")


@dataclass
class GoogleFault:
    """An answer in place of the server's. call : a pattern of `METHOD PATH`; times : after so many it is over."""

    call: str
    code: int
    status: str
    message: str
    times: int = 1


class Refused(Exception):  # noqa: N818
    def __init__(self, code: int, status: str, message: str = "") -> None:
        super().__init__(message)
        self.answer = {"error": {"code": code, "status": status, "message": message or status}}
        self.code = code


@dataclass
class OwnGoogle:
    """batches : by id, messages of the library; faults : to come; signed_in : whether tokens are given."""

    address: str = ""
    bucket: str = "raw"
    batches: dict[str, Any] = field(default_factory=dict)
    faults: list[GoogleFault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    signed_in: bool = True

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        """The answer to a call, as a message or an object of JSON."""
        from google.cloud import dataproc_v1

        if path == "/token":
            if not self.signed_in:
                raise Refused(400, "invalid_grant", "Token has been expired or revoked.")
            return {"access_token": uuid.uuid4().hex, "expires_in": 3600, "token_type": "Bearer"}
        self.calls.append(f"{method} {path}")
        for fault in self.faults:
            if fault.times and re.fullmatch(fault.call, f"{method} {path}"):
                fault.times -= 1
                raise Refused(fault.code, fault.status, fault.message)
        if method == "POST" and (found := _OPERATION.fullmatch(path)):
            (batch,) = (one for one in self.batches.values() if one.operation == found[1])
            batch.state = dataproc_v1.Batch.State.CANCELLED
            return {}
        if path == _BATCHES and method == "POST":
            return self._create(
                query["batchId"], dataproc_v1.Batch.from_json(body, ignore_unknown_fields=False)
            )
        if path == _BATCHES:
            newest = sorted(self.batches.values(), key=lambda one: one.create_time, reverse=True)
            first = int(query.get("pageToken") or 0)
            last = first + min(int(query.get("pageSize", 100)), 2)
            return dataproc_v1.ListBatchesResponse(
                batches=newest[first:last], next_page_token=str(last) if last < len(newest) else ""
            )
        name = path.removeprefix(f"{_BATCHES}/")
        if name not in self.batches:
            raise Refused(404, "NOT_FOUND", f"Not found: Batch {name}")
        if method == "DELETE":
            if self.batches[name].state < dataproc_v1.Batch.State.CANCELLED:
                raise Refused(400, "FAILED_PRECONDITION", "the batch is running")
            del self.batches[name]
            return {}
        return self.batches[name]

    def _create(self, name: str, batch: Any) -> Any:
        from google.cloud import dataproc_v1

        if not re.fullmatch("[a-z0-9][a-z0-9-]{2,61}[a-z0-9]", name):
            raise Refused(400, "INVALID_ARGUMENT", f"batch_id {name}")
        if name in self.batches:
            raise Refused(409, "ALREADY_EXISTS", f"Already exists: Batch {name}")
        batch.name = f"projects/{PROJECT}/locations/{REGION}/batches/{name}"
        batch.operation = f"projects/{PROJECT}/regions/{REGION}/operations/{uuid.uuid4()}"
        batch.create_time = datetime.now(UTC)
        batch.state = dataproc_v1.Batch.State.PENDING
        batch.runtime_info.output_uri = f"gs://{self.bucket}/info/{name}/driveroutput"
        self.batches[name] = batch
        return {"name": batch.operation, "done": False}


def _text(answer: Any) -> str:
    """An answer as Google writes it: names in camel case, numbers of 64 bits as text, no defaults."""
    return (
        json.dumps(answer) if isinstance(answer, dict) else json_format.MessageToJson(type(answer).pb(answer))
    )


def _handler(google: OwnGoogle) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            place = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(place.query).items()}
            try:
                status, text = 200, _text(google.answer(self.command, place.path, query, body))
            except Refused as refused:
                status, text = refused.code, json.dumps(refused.answer)
            except json_format.ParseError as error:
                status = 400
                text = json.dumps(Refused(400, "INVALID_ARGUMENT", str(error)).answer)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = reply  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    return Handler


def service_account(folder: Path, address: str) -> str:
    """The path of a file with credentials, whose tokens are given at an address."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        "client_email": f"engine@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{address}/token",
    }
    (folder / "account.json").write_text(json.dumps(account))
    return str(folder / "account.json")


@contextmanager
def own_google(folder: Path) -> Iterator[OwnGoogle]:
    """A Dataproc and a Cloud Storage with the bucket `raw`, which google-auth and Arrow find by the environment."""
    from gcp_storage_emulator.server import create_server

    google = OwnGoogle()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(google))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    google.address = f"http://127.0.0.1:{server.server_port}"
    storage = create_server("127.0.0.1", 0, in_memory=True, default_bucket=google.bucket)
    storage.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", service_account(folder, google.address))
        patch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", f"http://127.0.0.1:{storage._api._httpd.server_port}")
        patch.setenv("NO_PROXY", "127.0.0.1")
        try:
            yield google
        finally:
            storage.stop()
            server.shutdown()
            server.server_close()
