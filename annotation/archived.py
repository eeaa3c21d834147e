"""Readings of one watch from the message archive, to show what came before and after a window.

The archive is on a disk or in object storage. A file holds the messages of about a minute and is written soon after
they arrived, so the few files that can hold a time are found by their time of writing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from activitymodule.settings import Settings, location
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.windows.frame import NO_MODELS, KnownModels
from activitymodule.windows.packing import RECORD, to_records

_LATE = timedelta(seconds=30)  # the longest time from a reading to its message in Kafka
_MOST_FILES = 24
_MOST_MESSAGES = 2000


@lru_cache(maxsize=4)
def _place(address: str) -> tuple[fs.FileSystem, str]:
    """The file system of a folder or address; kept, for one in object storage looks up its bucket."""
    return fs.FileSystem.from_uri(address)


def _files(
    files: fs.FileSystem, folder: str, since: datetime, until: datetime, slack: timedelta
) -> list[str]:
    """Files that were written in [since, until + slack], the first two dozen."""
    found = []
    day = since.date()
    while day <= (until + slack).date():
        there = fs.FileSelector(f"{folder}/date={day.isoformat()}", allow_not_found=True)
        for info in files.get_file_info(there):
            written = info.mtime
            if info.extension == "parquet" and written is not None and since <= written <= until + slack:
                found.append((written, info.path))
        day += timedelta(days=1)
    return [path for _, path in sorted(found)[:_MOST_FILES]]


def archived_records(
    config: Settings, device_id: str, since: datetime, until: datetime, known: KnownModels = NO_MODELS
) -> np.ndarray:
    """Records (windows.packing.RECORD) of a watch in [since, until), as far as the archive has them.

    known : the model of the watch by the store.
    """
    nothing = np.empty(0, RECORD)
    slack = timedelta(seconds=2 * config.archive.interval_seconds) + _LATE
    try:
        files, folder = _place(location(config.archive.folder))
        paths = _files(files, f"{folder}/{config.kafka.topic}", since, until, slack)
    except (OSError, pa.ArrowInvalid):
        return nothing  # without the archive the page shows less
    values: list[bytes] = []
    for path in paths:
        try:
            table = pq.read_table(
                path,
                filesystem=files,
                columns=["value"],
                partitioning=None,
                filters=pc.field("key") == device_id.encode(),
            )
        except (OSError, pa.ArrowInvalid):
            continue  # of a killed job of a former version, or just deleted by retention
        values += [value for value in table.column("value").to_pylist() if value is not None]
        if len(values) > _MOST_MESSAGES:
            break
    if not values:
        return nothing
    now_us = round(datetime.now(UTC).timestamp() * 1e6)
    readings = decode_messages(pa.array(values, pa.binary()), now_us=now_us, limits=config.telemetry).readings
    readings = readings.filter(pc.equal(readings.column("device_id"), device_id))
    records = to_records(readings, known)
    low, high = (round(at.timestamp() * 1e6) for at in (since, until))
    return records[(records["stamp_us"] >= low) & (records["stamp_us"] < high)]
