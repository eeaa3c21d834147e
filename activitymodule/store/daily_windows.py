"""Windows of predictions as daily records need them: few columns, of any span of time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, datetime

import pyarrow as pa
import pyarrow.csv

from activitymodule.store.connection import Connection
from activitymodule.store.queries import fetch_all
from activitymodule.store.times import AS_US

_TYPES = {
    "device_id": pa.string(),
    "start_us": pa.int64(),
    "end_us": pa.int64(),
    "activity": pa.string(),
    "kcal_per_min": pa.float32(),
    "coverage": pa.float32(),
    "readings": pa.int32(),
}
_COPY = f"""
COPY (
    SELECT device_id, {AS_US.format("window_start")} AS start_us, {AS_US.format("window_end")} AS end_us,
           coalesce(smoothed_activity, activity) AS activity, kcal_per_min, coverage, readings_used AS readings
    FROM {{}} WHERE window_start >= {{}} AND window_start < {{}}
) TO STDOUT (FORMAT csv, HEADER, NULL '', FORCE_QUOTE (device_id, activity))
"""
_ARRIVALS = """
SELECT DISTINCT (received_at AT TIME ZONE 'UTC')::date FROM {} WHERE window_start >= %s AND window_start < %s
AND received_at IS NOT NULL
"""
_HOURS = (
    "SELECT DISTINCT date_trunc('hour', window_start) FROM predictions WHERE processed_at >= %s ORDER BY 1"
)


def windows_between(
    connection: Connection, tables: Sequence[str], begin: datetime, end: datetime
) -> pa.Table:
    """Windows of some tables of predictions that begin within [begin, end): columns of days.records.WINDOWS."""
    read = []
    for table in tables:
        sink = io.BytesIO()
        with connection.cursor() as cursor:
            low, high = (cursor.mogrify("%s", (at,)).decode() for at in (begin, end))
            cursor.copy_expert(_COPY.format(table, low, high), sink)
        sink.seek(0)
        options = pyarrow.csv.ConvertOptions(
            column_types=_TYPES, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        read.append(pyarrow.csv.read_csv(sink, convert_options=options))
    return pa.concat_tables(read)


def arrival_dates(connection: Connection, tables: Sequence[str], begin: datetime, end: datetime) -> set[date]:
    """Dates (UTC) on which the newest readings of these windows reached Kafka: where the archive has them."""
    return {
        row[0] for table in tables for row in fetch_all(connection, _ARRIVALS.format(table), (begin, end))
    }


def hours_written_since(connection: Connection, since: datetime) -> list[datetime]:
    """Hours (UTC) of which a window was written since then, oldest first."""
    return [row[0] for row in fetch_all(connection, _HOURS, (since,))]
