"""Google Cloud as an HTTP server of this process: OAuth, Cloud Storage and BigQuery, whose SQL DuckDB runs.

Google's own client and Arrow's Cloud Storage find it by the environment. A job is run when it is looked up, so that
what a killed process began goes on beside the next one; `at_once` runs it when it is asked for.
"""

from __future__ import annotations

import functools
import io
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_google import PROJECT, service_account
from own_objects import OwnObjects
from own_tables import OwnTables

DATASET = "activity"
Answer = tuple[int, Any]
_DUCK = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "STRING": "VARCHAR",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMPTZ",
}
_OF_DUCK = {"BIGINT": "INTEGER", "VARCHAR": "STRING", "DOUBLE": "FLOAT"}
_STATUS = {"notFound": 404, "accessDenied": 403, "quotaExceeded": 403, "duplicate": 409}


class RefusalError(Exception):
    """An error of the API."""

    def __init__(self, reason: str, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message
        self.code = code or _STATUS.get(reason, 400)


class OwnBigQuery(OwnTables):
    """A dataset. fail_job : of jobs whose configuration has this text one fails"""

    def __init__(self, objects: OwnObjects) -> None:
        super().__init__("bigquery")
        self.objects = objects
        self.location = "EU"
        self.at_once = False
        self.jobs: dict[str, dict[str, Any]] = {}
        self.tables: dict[str, dict[str, Any]] = {}
        self.fail_job: tuple[str, RefusalError] | None = None
        self._database.execute(f"ATTACH ':memory:' AS \"{PROJECT}\"")
        self._database.execute(f'CREATE SCHEMA "{PROJECT}".{DATASET}')
        self._database.execute(f'USE "{PROJECT}".{DATASET}')

    # ---- tables

    def dataset(self, dataset: str) -> Answer:
        if dataset != DATASET:
            raise RefusalError("notFound", f"Not found: Dataset {PROJECT}:{dataset}")
        reference = {"projectId": PROJECT, "datasetId": DATASET}
        return 200, {"id": f"{PROJECT}:{DATASET}", "datasetReference": reference, "location": self.location}

    def list_tables(self) -> Answer:
        found = [
            {"tableReference": one["tableReference"], "creationTime": one["creationTime"], "type": "TABLE"}
            for one in self.tables.values()
        ]
        return 200, {"tables": found, "totalItems": len(found)}

    def table(self, name: str) -> Answer:
        if name not in self.tables:
            raise RefusalError("notFound", f"Not found: Table {PROJECT}:{DATASET}.{name}")
        count = self.rows(f'SELECT count(*) FROM "{name}"')[0][0]
        return 200, {**self.tables[name], "numRows": str(count)}

    def make_table(self, body: dict[str, Any]) -> Answer:
        name = body["tableReference"]["tableId"]
        if name in self.tables:
            raise RefusalError("duplicate", f"Already Exists: Table {PROJECT}:{DATASET}.{name}")
        if partition := body.get("timePartitioning"):
            kinds = {one["name"]: one["type"] for one in body["schema"]["fields"]}
            assert kinds[partition["field"]] in ("DATE", "TIMESTAMP"), partition
        self._make(name, body["schema"]["fields"], body)
        return self.table(name)

    def change_table(self, name: str, body: dict[str, Any]) -> Answer:
        before = [one["name"] for one in self.tables[name]["schema"]["fields"]]
        fields = body["schema"]["fields"]
        assert [one["name"] for one in fields[: len(before)]] == before, "columns can only be added"
        for one in fields[len(before) :]:
            assert one.get("mode") != "REQUIRED", "an added column cannot be required"
            self.rows(f'ALTER TABLE "{name}" ADD COLUMN "{one["name"]}" {_type(one)}')
        self.tables[name]["schema"] = body["schema"]
        return self.table(name)

    def drop_table(self, name: str) -> Answer:
        self.table(name)
        self.rows(f'DROP TABLE "{name}"')
        del self.tables[name]
        return 204, None

    def _make(self, name: str, fields: list[dict[str, Any]], body: dict[str, Any]) -> None:
        columns = ", ".join(f'"{one["name"]}" {_type(one)}' for one in fields)
        self.rows(f'CREATE OR REPLACE TABLE "{name}" ({columns})')
        self.tables[name] = {
            **body,
            "id": f"{PROJECT}:{DATASET}.{name}",
            "tableReference": {"projectId": PROJECT, "datasetId": DATASET, "tableId": name},
            "schema": {"fields": fields},
            "creationTime": str(int(time.time() * 1000)),
        }

    # ---- jobs

    def begin_job(self, body: dict[str, Any]) -> Answer:
        reference = body["jobReference"]
        name = reference["jobId"]
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,1024}", name), name
        if name in self.jobs:
            raise RefusalError("duplicate", f"Already Exists: Job {PROJECT}:{self.location}.{name}")
        job = {
            "id": f"{PROJECT}:{reference.get('location')}.{name}",
            "jobReference": reference,
            "configuration": body["configuration"],
            "status": {"state": "RUNNING"},
            "statistics": {"creationTime": "1", "startTime": "1"},
        }
        self.jobs[name] = job
        if self.at_once:
            self._run_job(name)
        return 200, {**job, "status": {"state": "RUNNING"}}

    def job(self, name: str) -> Answer:
        if name not in self.jobs:
            raise RefusalError("notFound", f"Not found: Job {PROJECT}:{name}")
        self._run_job(name)
        return 200, {one: value for one, value in self.jobs[name].items() if one != "result"}

    def results(self, name: str) -> Answer:
        self.job(name)
        job = self.jobs[name]
        if error := job["status"].get("errorResult"):
            raise RefusalError(error["reason"], error["message"])
        names, kinds, rows = job["result"]
        fields = [
            {"name": one, "type": _OF_DUCK.get(kind, "STRING"), "mode": "NULLABLE"}
            for one, kind in zip(names, kinds, strict=True)
        ]
        return 200, {
            "jobComplete": True,
            "jobReference": job["jobReference"],
            "schema": {"fields": fields},
            "totalRows": str(len(rows)),
            "rows": [{"f": [{"v": None if v is None else str(v)} for v in row]} for row in rows],
        }

    def _run_job(self, name: str) -> None:
        job = self.jobs[name]
        if job["status"]["state"] == "DONE":
            return
        job["status"] = {"state": "DONE"}
        try:
            if job["jobReference"].get("location") != self.location:
                raise RefusalError(
                    "notFound", f"Not found: Dataset {PROJECT}:{DATASET} was not found in location US"
                )
            if self.fail_job and self.fail_job[0] in json.dumps(job["configuration"]):
                refusal, self.fail_job = self.fail_job[1], None
                raise refusal
            configuration = job["configuration"]
            if "load" in configuration:
                self._load(configuration["load"])
                job["result"] = ([], [], [])
            else:
                job["result"] = self._query(configuration["query"])
        except RefusalError as error:
            said = {"reason": error.reason, "message": error.message}
            job["status"] |= {"errorResult": said, "errors": [said]}
        except duckdb.Error as error:
            said = {"reason": "invalidQuery", "message": str(error)}
            job["status"] |= {"errorResult": said, "errors": [said]}

    def _query(self, query: dict[str, Any]) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
        assert query["useLegacySql"] is False
        assert query["defaultDataset"] == {"projectId": PROJECT, "datasetId": DATASET}
        statements = [one.strip() for one in query["query"].split(";\n") if one.strip()]
        if statements[0] == "BEGIN TRANSACTION":
            assert statements[-1] == "COMMIT TRANSACTION"
            self.run(statements[1:-1])
            return [], [], []
        (statement,) = statements
        names, rows = self.run([statement.rstrip(";")])
        kinds = [
            "BIGINT" if any(isinstance(row[k], int) for row in rows) else "VARCHAR" for k in range(len(names))
        ]
        return names, kinds, rows

    def _load(self, load: dict[str, Any]) -> None:
        assert load["sourceFormat"] == "PARQUET"
        assert load["writeDisposition"] == "WRITE_TRUNCATE"
        (address,) = load["sourceUris"]
        content = self.objects.content(address.removeprefix("gs://raw/"))
        if content is None:
            raise RefusalError("notFound", f"Not found: URI {address}")
        if self.objects.location != self.location:
            raise RefusalError(
                "invalid",
                f"Cannot read and write in different locations: source: {self.objects.location}, destination: "
                f"{self.location}",
            )
        rows = pq.read_table(io.BytesIO(content))
        fields = {one["name"]: one for one in load["schema"]["fields"]}
        assert list(fields) == rows.column_names
        inferred = load["parquetOptions"]["enableListInference"]
        table = load["destinationTable"]["tableId"]
        self._make(table, list(fields.values()), {})
        self.insert(
            f'"{table}"', pa.table({one: _loaded(rows.column(one), fields[one], inferred) for one in fields})
        )


def _type(field: dict[str, Any]) -> str:
    if field["type"] == "RECORD":
        inner = ", ".join(f'"{one["name"]}" {_type(one)}' for one in field["fields"])
        kind = f"STRUCT({inner})"
    else:
        kind = _DUCK[field["type"]]
    return f"{kind}[]" if field.get("mode") == "REPEATED" else kind


def _loaded(column: pa.ChunkedArray, field: dict[str, Any], inferred: bool) -> pa.Array | pa.ChunkedArray:
    """A column as BigQuery reads it of Parquet: maps as records of repeated pairs. Fails for another type."""
    kind = column.type
    if pa.types.is_map(kind):
        assert [one["mode"] for one in field["fields"]] == ["REPEATED"]
        assert [one["name"] for one in field["fields"][0]["fields"]] == ["key", "value"]
        pair = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        made = [
            None if one is None else {"key_value": [{"key": k, "value": v} for k, v in one]}
            for one in column.to_pylist()
        ]
        return pa.array(made, pa.struct([("key_value", pa.list_(pair))]))
    if pa.types.is_list(kind):
        assert inferred, "without it a list is a record of a list of records"
        assert field["mode"] == "REPEATED"
        # BigQuery has no null in place of an array
        return pa.array([one or [] for one in column.to_pylist()], kind)
    expected = {
        "TIMESTAMP": lambda: pa.types.is_timestamp(kind) and kind.tz is not None,
        "DATE": lambda: pa.types.is_date(kind),
        "STRING": lambda: pa.types.is_string(kind),
        "BOOLEAN": lambda: pa.types.is_boolean(kind),
        "INTEGER": lambda: pa.types.is_integer(kind),
        "FLOAT": lambda: pa.types.is_floating(kind),
    }
    if not expected[field["type"]]():
        raise RefusalError("invalid", f"Field {field['name']} has changed type to {kind}")
    return column


class OwnGoogle:
    """The server. refuse : asked before each request of BigQuery with its method and path, may raise RefusalError;
    lose : the answer of a request for which it says so does not arrive"""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.tokens: set[str] = set()  # given out, each good to the end
        self.objects = OwnObjects()
        self.forget()

    def forget(self) -> None:
        """As at the start, but for the tokens and the objects."""
        self.bigquery = OwnBigQuery(self.objects)
        self.token_refusal: str | None = None
        self.refuse: Callable[[str], None] = lambda request: None
        self.lose: Callable[[str], bool] = lambda request: False

    def token(self) -> Answer:
        if self.token_refusal:
            return 400, {"error": "invalid_grant", "error_description": self.token_refusal}
        given = f"token-{len(self.tokens) + 1}"
        self.tokens.add(f"Bearer {given}")
        return 200, {"access_token": given, "expires_in": 3600, "token_type": "Bearer"}

    def answer(self, method: str, path: str, body: dict[str, Any], token: str) -> Answer:
        """The answer of BigQuery."""
        bigquery = self.bigquery
        own = f"/bigquery/v2/projects/{PROJECT}"
        routes: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
            ("GET", rf"{own}/datasets/(\w+)", bigquery.dataset),
            ("GET", rf"{own}/datasets/{DATASET}/tables", bigquery.list_tables),
            ("POST", rf"{own}/datasets/{DATASET}/tables", functools.partial(bigquery.make_table, body)),
            ("GET", rf"{own}/datasets/{DATASET}/tables/(\w+)", bigquery.table),
            (
                "PATCH",
                rf"{own}/datasets/{DATASET}/tables/(\w+)",
                lambda name: bigquery.change_table(name, body),
            ),
            ("DELETE", rf"{own}/datasets/{DATASET}/tables/(\w+)", bigquery.drop_table),
            ("POST", rf"{own}/jobs", functools.partial(bigquery.begin_job, body)),
            ("GET", rf"{own}/jobs/([\w-]+)", bigquery.job),
            ("GET", rf"{own}/queries/([\w-]+)", bigquery.results),
        )
        with self._lock:
            try:
                self.refuse(f"{method} {path}")
                if token not in self.tokens:
                    raise RefusalError("authError", "Request had invalid authentication credentials.", 401)
                for verb, pattern, do in routes:
                    if verb == method and (found := re.fullmatch(pattern, path)):
                        return do(*found.groups())
                raise AssertionError(f"{method} {path} is not played")
            except RefusalError as error:
                said = {"reason": error.reason, "message": error.message, "domain": "global"}
                return error.code, {"error": {"code": error.code, "message": error.message, "errors": [said]}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together
    own: OwnGoogle

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        if path == "/token":
            status, answer = self.own.token()
        else:
            request = f"{self.command} {path}"
            body = json.loads(content) if content else {}
            status, answer = self.own.answer(self.command, path, body, self.headers.get("Authorization", ""))
            if self.own.lose(request):
                self.close_connection = True
                return
        sent = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815


@contextmanager
def own_google(folder: Path) -> Iterator[OwnGoogle]:
    """The server, with credentials of a service account in a folder, while the block lasts."""
    own = OwnGoogle()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"own": own}))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "GOOGLE_APPLICATION_CREDENTIALS": service_account(folder, address),
            "BIGQUERY_EMULATOR_HOST": address,
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": own.objects.address,
            "NO_PROXY": "127.0.0.1",
        }.items():
            patch.setenv(name, value)
        try:
            yield own
        finally:
            server.shutdown()
            server.server_close()
            own.objects.end()
