"""Redshift's Data API in this process: botocore checks the arguments of each call, DuckDB runs the statements.

What DuckDB lacks is played: COPY reads the Parquet file of moto's S3, SUPER is JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.client import BaseClient
from own_tables import OwnTables
from pyarrow import fs

_COPY = re.compile(r"COPY (\w+) FROM '([^']+)' IAM_ROLE default FORMAT AS PARQUET SERIALIZETOJSON")


class OwnRedshift(OwnTables):
    """A database, and a client of it. after_call : asked when a call was carried out, before its answer goes back;
    refuse : the code of an error in place of an operation, None: it is carried out"""

    def __init__(self) -> None:
        super().__init__("redshift")
        self.after_call: Callable[[], None] = lambda: None
        self.refuse: Callable[[str], str | None] = lambda operation: None
        self._results: dict[str, dict[str, Any]] = {}
        self.client: BaseClient = boto3.client(
            "redshift-data",
            region_name="eu-central-1",
            aws_access_key_id="nobody",
            aws_secret_access_key="nothing",
        )
        # called after the arguments were checked against the model, in place of the request
        self.client.meta.events.register("before-call.redshift-data", self._answer)

    def _answer(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        body = json.loads(params["body"])
        answer: dict[str, Any]
        if (code := self.refuse(model.name)) is not None:
            refused = {"Error": {"Code": code, "Message": "it is so"}}
            return SimpleNamespace(status_code=400, headers={}, raw=None), refused
        if model.name == "DescribeStatement":
            answer = {"Id": body["Id"], **self._results[body["Id"]]["status"]}
        elif model.name == "GetStatementResult":
            answer = self._results[body["Id"]]["result"]
        else:
            assert (body["WorkgroupName"], body["Database"]) == ("a-workgroup", "a-database")
            answer = {"Id": self._begin(body.get("Sqls") or [body["Sql"]])}
        self.after_call()
        return SimpleNamespace(status_code=200, headers={}, raw=None), answer

    def _begin(self, statements: list[str]) -> str:
        name = str(len(self._results))
        try:
            columns, rows = self.run(statements)
        except duckdb.Error as error:
            self._results[name] = {"status": {"Status": "FAILED", "Error": str(error)}}
            return name
        records = [[{"isNull": True} if v is None else {"stringValue": str(v)} for v in row] for row in rows]
        self._results[name] = {
            "status": {"Status": "FINISHED"},
            "result": {"ColumnMetadata": [{"name": one} for one in columns], "Records": records},
        }
        return name

    def execute(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """One statement."""
        if copy := _COPY.fullmatch(statement):
            self._copy(*copy.groups())
            return [], []
        if "svv_columns" in statement:
            (table,) = re.findall("'([^']*)'", statement)
            return ["column_name"], [(name,) for name in self.columns(table)]
        # COPY fills it within the transaction, and another one finds none
        return super().execute(statement.replace("GETDATE()", "CURRENT_TIMESTAMP").replace(" SUPER", " JSON"))

    def _copy(self, table: str, file: str) -> None:
        system, path = fs.FileSystem.from_uri(file)
        rows = pq.read_table(path, filesystem=system)
        if list(self.columns(table)) != rows.column_names:
            raise duckdb.Error("unmatched number of columns")
        self.insert(table, pa.table({one: _flat(rows.column(one)) for one in rows.column_names}))


def _flat(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Lists and maps as JSON, times without a zone."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us"))
    if pa.types.is_nested(column.type):
        plain = [dict(one) if one and pa.types.is_map(column.type) else one for one in column.to_pylist()]
        return pa.array([None if one is None else json.dumps(one) for one in plain], pa.string())
    return column
