"""Redshift Serverless by its Data API: statements that are waited for, and their rows."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from botocore.client import BaseClient

from activitymodule.cloud.aws import client, explained
from activitymodule.errors import ConfigError, StoreError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")
_ENDED = ("FINISHED", "FAILED", "ABORTED")
Value = str | int | float | bool | None


@dataclass(frozen=True)
class Rows:
    """What a query gave: names of the columns, and the rows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


class Redshift:
    """A database of a workgroup, redshift://WORKGROUP/DATABASE."""

    def __init__(self, address: str, poll_seconds: float) -> None:
        self._workgroup, _, self._database = address.removeprefix("redshift://").partition("/")
        if not self._workgroup or not self._database:
            raise ConfigError(f"{address} names no database; write redshift://WORKGROUP/DATABASE")
        self._poll_seconds = poll_seconds
        self._data: BaseClient = client("redshift-data")

    def run(self, statements: Sequence[str], token: str | None = None) -> str:
        """Run statements in one transaction, and wait for its end; its id. token : the same one runs them once.

        Raises StoreError with Redshift's reason where one fails; then none has an effect.
        """
        target = {"WorkgroupName": self._workgroup, "Database": self._database}
        with explained("running a statement on Redshift"):
            if len(statements) == 1:
                begun = self._data.execute_statement(
                    **target, Sql=statements[0], ClientToken=token or uuid.uuid4().hex
                )
            else:
                begun = self._data.batch_execute_statement(
                    **target, Sqls=list(statements), ClientToken=token or uuid.uuid4().hex
                )
            statement: str = begun["Id"]
            while True:
                now = self._data.describe_statement(Id=statement)
                if now["Status"] in _ENDED:
                    break
                time.sleep(self._poll_seconds)
        if now["Status"] != "FINISHED":
            raise StoreError(
                f"Redshift ended a statement as {now['Status']}: {now.get('Error', 'no reason is given')}; nothing of "
                "it has an effect"
            )
        return statement

    def rows(self, query: str) -> Rows:
        """The rows of a query."""
        statement = self.run([query])
        columns: tuple[str, ...] = ()
        found: list[tuple[Value, ...]] = []
        with explained("reading rows of Redshift"):
            for page in self._data.get_paginator("get_statement_result").paginate(Id=statement):
                columns = columns or tuple(one["name"] for one in page.get("ColumnMetadata", ()))
                found += [tuple(map(_value, record)) for record in page["Records"]]
        return Rows(columns, tuple(found))


def _value(cell: dict[str, Value]) -> Value:
    """A value of the Data API, {"longValue": 3}; None for {"isNull": true}."""
    return None if cell.get("isNull") else next(iter(cell.values()), None)
