"""Objects of Cloud Storage in memory, by the calls of its JSON interface that Arrow makes.

The server is a process of its own: Arrow opens a file without letting other threads of its process run.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from urllib.request import Request, urlopen

Answer = tuple[int, Any, dict[str, str]]


class OwnObjects:
    """A server and its one bucket. location : of the bucket, for who asks"""

    def __init__(self) -> None:
        self.location = "EU"
        self._process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def content(self, bucket: str, name: str) -> bytes | None:
        """The bytes of an object; None where there is none."""
        if name not in self.names(bucket):
            return None
        return self._ask("GET", f"/storage/v1/b/{bucket}/o/{quote(name, '')}?alt=media")

    def names(self, bucket: str) -> list[str]:
        """The names of all objects that are no folders of Arrow's."""
        found = json.loads(self._ask("GET", f"/storage/v1/b/{bucket}/o"))["items"]
        return [one["name"] for one in found if not one["name"].endswith("/")]

    def put(self, bucket: str, name: str, content: bytes) -> None:
        """Write an object."""
        self._ask("POST", f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, '')}", content)

    def delete(self, bucket: str, name: str) -> None:
        """Delete an object."""
        self._ask("DELETE", f"/storage/v1/b/{bucket}/o/{quote(name, '')}")

    def clear(self, bucket: str) -> None:
        """Delete all objects."""
        self.location = "EU"
        for one in json.loads(self._ask("GET", f"/storage/v1/b/{bucket}/o"))["items"]:
            self.delete(bucket, one["name"])

    def end(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        with urlopen(Request(self.address + path, content, method=method), timeout=30) as answer:
            return answer.read()


class _Objects:
    """What the server holds."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], tuple[bytes, dict[str, Any]]] = {}
        self._uploads: dict[str, tuple[str, dict[str, Any], bytearray]] = {}
        self._generation = 0
        self._lock = threading.Lock()

    def put(
        self, bucket: str, name: str, content: bytes, about: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Write an object; what the interface says of it."""
        self._generation += 1
        # no two contents of one time
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self._generation)
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said = {
            "kind": "storage#object",
            "bucket": bucket,
            "name": name,
            "size": str(len(content)),
            "generation": str(self._generation),
            "metageneration": "1",
            "timeCreated": stamp,
            "updated": stamp,
            "metadata": (about or {}).get("metadata", {}),
        }
        self._objects[bucket, name] = (content, said)
        return said

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], content: bytes
    ) -> Answer:
        """The answer to a request."""
        with self._lock:
            if method == "PUT" and "upload_id" in query:
                return self._upload(query["upload_id"], headers, content)
            if found := re.fullmatch(r"/upload/storage/v1/b/([^/]+)/o", path):
                return self._begin(found[1], query, headers, content)
            if found := re.fullmatch(r"/storage/v1/b/([^/]+)/o/([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)", path):
                return self._rewrite(*map(unquote, found.groups()))
            if found := re.fullmatch(r"/storage/v1/b/([^/]+)/o/?", path):
                return self._list(found[1], query)
            if found := re.fullmatch(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)", path):
                return self._object(method, found[1], unquote(found[2]), query, headers)
            if found := re.fullmatch(r"/storage/v1/b/([^/]+)", path):
                return 200, {"kind": "storage#bucket", "name": found[1]}, {}
            if found := re.fullmatch(r"/([^/]+)/(.+)", path):
                return self._object(method, found[1], unquote(found[2]), {"alt": "media"}, headers)
        raise AssertionError(f"{method} {path} is not played")

    def _object(
        self, method: str, bucket: str, name: str, query: dict[str, str], headers: dict[str, str]
    ) -> Answer:
        if (bucket, name) not in self._objects:
            return 404, {"error": {"code": 404, "message": f"No such object: {bucket}/{name}"}}, {}
        held, said = self._objects[bucket, name]
        if method == "DELETE":
            del self._objects[bucket, name]
            return 204, None, {}
        if query.get("alt") != "media":
            return 200, said, {}
        about = {"x-goog-generation": said["generation"], "Content-Type": "application/octet-stream"}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("Range", headers.get("range", "")))
        if wanted is None:
            return 200, held, about
        first = int(wanted[1]) if wanted[1] else max(0, len(held) - int(wanted[2]))
        last = min(int(wanted[2]), len(held) - 1) if wanted[1] and wanted[2] else len(held) - 1
        about["Content-Range"] = f"bytes {first}-{last}/{len(held)}"
        return 206, held[first : last + 1], about

    def _list(self, bucket: str, query: dict[str, str]) -> Answer:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        items, folders = [], set()
        for (own, name), (_, said) in sorted(self._objects.items()):
            if own != bucket or not name.startswith(prefix):
                continue
            rest = name[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
                if query.get("includeTrailingDelimiter") != "true" or rest.count(delimiter) > 1:
                    continue
                if not rest.endswith(delimiter):
                    continue
            items.append(said)
        return 200, {"kind": "storage#objects", "items": items, "prefixes": sorted(folders)}, {}

    def _begin(self, bucket: str, query: dict[str, str], headers: dict[str, str], content: bytes) -> Answer:
        about: dict[str, Any] = {}
        if query.get("uploadType") == "multipart":
            kind = headers.get("Content-Type") or headers.get("content-type") or ""
            boundary = re.search(r"boundary=\"?([^\";]+)", kind)
            assert boundary is not None
            parts = content.split(b"--" + boundary[1].encode())
            about = json.loads(parts[1].partition(b"\r\n\r\n")[2])
            whole = parts[2].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            return 200, self.put(bucket, query.get("name") or about["name"], whole, about), {}
        if query.get("uploadType") == "media":
            return 200, self.put(bucket, query["name"], content), {}
        about = json.loads(content or b"{}")
        number = base64.b16encode(str(len(self._uploads)).encode()).decode()
        self._uploads[number] = (bucket, {**about, "name": query.get("name") or about["name"]}, bytearray())
        host = headers.get("Host") or headers.get("host")
        place = f"http://{host}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={number}"
        return 200, {}, {"Location": place}

    def _upload(self, number: str, headers: dict[str, str], content: bytes) -> Answer:
        bucket, about, held = self._uploads[number]
        held += content
        place = headers.get("Content-Range", headers.get("content-range", ""))
        if place.endswith("/*"):
            return 308, None, {"Range": f"bytes=0-{len(held) - 1}"}
        return 200, self.put(bucket, about["name"], bytes(held), about), {}

    def _rewrite(self, bucket: str, name: str, to: str, new: str) -> Answer:
        held, said = self._objects[bucket, name]
        made = self.put(to, new, held, said)
        size = str(len(held))
        return (
            200,
            {
                "kind": "storage#rewriteResponse",
                "totalBytesRewritten": size,
                "objectSize": size,
                "done": True,
                "resource": made,
            },
            {},
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together
    objects = _Objects()

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = self._chunks()
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        status, answer, headers = self.objects.answer(
            self.command, parts.path, query, dict(self.headers), content
        )
        sent = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
