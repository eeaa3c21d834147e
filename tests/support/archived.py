"""An archive of raw messages, as a former version of the stream wrote it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from activitymodule.lake.archive import archive_path
from activitymodule.settings import Settings
from activitymodule.telemetry.encode import messages


def archive_readings(settings: Settings, readings: pa.Table, *, files: int = 1) -> None:
    """Archive readings as messages of ten, `files` times over, under the date of the last one."""
    made = messages(readings.drop_columns(["activity", "kcal_per_min"]), 10)
    n, last_us = len(made.value), int(made.newest_us.max())
    table = pa.table(
        {
            "key": pa.array([device.encode() for device in made.device_id], pa.binary()),
            "value": pa.array(made.value, pa.binary()),
            "partition": pa.array([0] * n, pa.int32()),
            "offset": pa.array(range(n), pa.int64()),
            "timestamp": pa.array([last_us] * n, pa.timestamp("us", "UTC")),
            "timestampType": pa.array([1] * n, pa.int32()),
        }
    )
    folder = Path(archive_path(settings)) / f"date={datetime.fromtimestamp(last_us / 1e6, UTC):%F}"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        pq.write_table(table, folder / f"part-{number}.parquet")
