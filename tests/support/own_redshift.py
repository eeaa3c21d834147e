"""Redshift's Data API in this process: botocore checks the arguments of each call, SQLite runs the statements.

What SQLite lacks is played: COPY reads the Parquet file of moto's S3, a division by zero ends the transaction.
"""

from __future__ import annotations

import json
import re
import sqlite3
from types import SimpleNamespace
from typing import Any

import boto3
import pyarrow.parquet as pq
from botocore.client import BaseClient
from pyarrow import fs

_COPY = re.compile(r"COPY (\w+) FROM '([^']+)' IAM_ROLE default FORMAT AS PARQUET SERIALIZETOJSON")


class OwnRedshift:
    """A database. transactions : their statements; fail_at : one with this text fails, once."""

    def __init__(self) -> None:
        self.transactions: list[list[str]] = []
        self.fail_at: str | None = None
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.create_function("GETDATE", 0, lambda: f"{len(self.transactions):09}")
        self._results: dict[str, dict[str, Any]] = {}
        self.client: BaseClient = boto3.client(
            "redshift-data",
            region_name="eu-central-1",
            aws_access_key_id="nobody",
            aws_secret_access_key="nothing",
        )
        # called after the arguments were checked against the model, in place of the request
        self.client.meta.events.register("before-call.redshift-data", self._answer)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._database.execute(query).fetchall()

    def _answer(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        body = json.loads(params["body"])
        answer: dict[str, Any]
        if model.name == "DescribeStatement":
            answer = {"Id": body["Id"], **self._results[body["Id"]]["status"]}
        elif model.name == "GetStatementResult":
            answer = self._results[body["Id"]]["result"]
        else:
            assert (body["WorkgroupName"], body["Database"]) == ("a-workgroup", "a-database")
            answer = {"Id": self._run(body.get("Sqls") or [body["Sql"]])}
        return SimpleNamespace(status_code=200, headers={}, raw=None), answer

    def _run(self, statements: list[str]) -> str:
        self.transactions.append(statements)
        name = str(len(self.transactions))
        self._database.execute("BEGIN")
        try:
            cursor = None
            for one in statements:
                if self.fail_at and self.fail_at in one:
                    self.fail_at = None
                    raise sqlite3.OperationalError("told to fail")
                cursor = self._execute(one)
            found = cursor.fetchall() if cursor is not None and cursor.description else []
            columns = [{"name": one[0]} for one in cursor.description or ()] if cursor is not None else []
        except sqlite3.Error as error:
            self._database.execute("ROLLBACK")
            self._results[name] = {"status": {"Status": "FAILED", "Error": str(error)}}
            return name
        self._database.execute("COMMIT")
        records = [[{"isNull": True} if v is None else {"stringValue": str(v)} for v in row] for row in found]
        self._results[name] = {
            "status": {"Status": "FINISHED"},
            "result": {"ColumnMetadata": columns, "Records": records},
        }
        return name

    def _execute(self, statement: str) -> sqlite3.Cursor:
        if copy := _COPY.fullmatch(statement):
            self._copy(*copy.groups())
            return self._database.execute("SELECT 1")
        if "svv_columns" in statement:
            (table,) = re.findall("'([^']*)'", statement)
            return self._database.execute(f"SELECT name FROM pragma_table_info('{table}')")
        cursor = self._database.execute(statement)
        if statement.startswith("SELECT 1 /"):
            if cursor.fetchone() != (1,):
                raise sqlite3.OperationalError("division by zero")
            return self._database.execute("SELECT 1")
        return cursor

    def _copy(self, table: str, file: str) -> None:
        system, path = fs.FileSystem.from_uri(file)
        rows = pq.read_table(path, filesystem=system)
        known = [one[0] for one in self._database.execute(f"SELECT name FROM pragma_table_info('{table}')")]
        if known != rows.column_names:
            raise sqlite3.OperationalError("unmatched number of columns")
        marks = ", ".join("?" * len(known))
        self._database.executemany(
            f"INSERT INTO {table} VALUES ({marks})",
            [[_plain(value) for value in row.values()] for row in rows.to_pylist()],
        )


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=str)
    return value if isinstance(value, int | float | str | None) else str(value)
