"""Daily records of the last days in the store: a copy of the lake's, replaced by months."""

from __future__ import annotations

import io
import json
from datetime import date

import pyarrow as pa
import pyarrow.csv

from activitymodule.days.columns import COLUMNS, SCHEMA
from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all

_COPY = f"COPY daily_records ({', '.join(SCHEMA.names)}) FROM STDIN (FORMAT csv, HEADER, NULL '')"


def replace_between(connection: Connection, first: date, last: date, days: pa.Table) -> None:
    """Put daily records (columns.SCHEMA) in place of those of these dates, both included."""
    execute(connection, "DELETE FROM daily_records WHERE date BETWEEN %s AND %s", (first, last))
    if len(days):
        columns = [_as_text(days.column(column.name), column.type) for column in COLUMNS]
        text = io.BytesIO()
        pyarrow.csv.write_csv(pa.table(columns, names=SCHEMA.names), text)
        text.seek(0)
        with connection.cursor() as cursor:
            cursor.copy_expert(_COPY, text, size=1 << 20)


def _as_text(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | pa.Array:
    """Maps as JSON and lists as arrays of PostgreSQL."""
    if pa.types.is_map(kind):
        return pa.array(
            [None if one is None else json.dumps(dict(one)) for one in values.to_pylist()], pa.string()
        )
    if pa.types.is_list(kind):
        texts = [None if one is None else "{" + ",".join(map(repr, one)) + "}" for one in values.to_pylist()]
        return pa.array(texts, pa.string())
    return values


def delete_before(connection: Connection, first: date) -> int:
    """Delete records of dates before; how many."""
    return execute(connection, "DELETE FROM daily_records WHERE date < %s", (first,))


def months_there(connection: Connection) -> set[tuple[int, int]]:
    """The (year, month) of which there are records."""
    sql = "SELECT DISTINCT extract(year FROM date)::int, extract(month FROM date)::int FROM daily_records"
    return {(year, month) for year, month in fetch_all(connection, sql)}
