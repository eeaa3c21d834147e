"""Windows around labelled ones, computed from the archive of raw messages by the code of the stream.

Without Spark, because few messages are needed: the archive is read by date, and from each file only the rows of the
given watches.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from activitymodule.learning.spreading import Neighbours
from activitymodule.settings import Settings
from activitymodule.streaming.archive import archive_path
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import features
from activitymodule.windows.grouping import group_panes
from activitymodule.windows.panes import arrival_us, decode_panes

_LATE_DAYS = 2  # messages of a window are searched up to so many days after it
_CHUNK = 4096  # windows at a time


def neighbours(
    config: Settings, labelled: Iterable[tuple[str, int]], each_side: int
) -> dict[tuple[str, int], Neighbours]:
    """Neighbours of labelled windows, by (device_id, window_us) of the labelled one.

    each_side : at most so many windows before and after it, as far as the archive has their readings. Empty without
        an archive.
    """
    centres = sorted(set(labelled))
    slide_us = config.windows.slide_seconds * 1_000_000
    offsets = [k * slide_us for k in range(-each_side, each_side + 1) if k]
    keys = sorted({(device, us + offset) for device, us in centres for offset in offsets})
    if not keys:
        return {}
    windows = _windows(config, keys)
    out: dict[tuple[str, int], Neighbours] = {}
    for device, us in centres:
        near = [us + offset for offset in offsets if (device, us + offset) in windows]
        if near:
            rows = [windows[device, start] for start in near]
            out[device, us] = Neighbours(
                window_us=np.array(near, np.int64),
                features=np.stack([row[0] for row in rows]),
                whole=np.array([row[1] for row in rows]),
            )
    return out


def _windows(
    config: Settings, requested: list[tuple[str, int]]
) -> dict[tuple[str, int], tuple[np.ndarray, bool]]:
    """Features of windows, and whether their coverage suffices, by (device_id, window_us)."""
    messages = _messages(config, requested)
    if not messages.num_rows:
        return {}
    windows = config.windows
    kafka_us = messages.column("timestamp").cast(pa.int64()).to_numpy()
    panes, _ = decode_panes(
        messages.column("value").combine_chunks(),
        kafka_us,
        now_us=arrival_us(kafka_us, messages.column("timestampType").to_numpy()),
        limits=config.telemetry,
        slide_seconds=windows.slide_seconds,
    )
    grouped = group_panes(panes, windows)
    keys = list(
        zip(grouped.column("device_id").to_pylist(), grouped.column("window_us").to_pylist(), strict=True)
    )
    among = set(requested)
    chosen = [row for row, key in enumerate(keys) if key in among]
    out: dict[tuple[str, int], tuple[np.ndarray, bool]] = {}
    for low in range(0, len(chosen), _CHUNK):
        part = grouped.take(pa.array(chosen[low : low + _CHUNK]))
        batch = assemble(part.column("window_us").to_numpy(), part.column("panes"), windows)
        rows = features(batch, windows)
        whole = batch.coverage >= windows.queue_coverage
        out |= {keys[row]: (rows[k], bool(whole[k])) for k, row in enumerate(chosen[low : low + _CHUNK])}
    return out


def _messages(config: Settings, requested: list[tuple[str, int]]) -> pa.Table:
    """Archived messages of the watches, from the first window until _LATE_DAYS after the last one, without repeats."""
    path = archive_path(config)
    files, base = fs.FileSystem.from_uri(path)
    names = ["key", "value", "partition", "offset", "timestamp", "timestampType"]
    empty = pa.table({name: [] for name in names})
    if files.get_file_info(base).type != fs.FileType.Directory:
        return empty
    first = datetime.fromtimestamp(min(us for _, us in requested) / 1e6, UTC)
    last = datetime.fromtimestamp(max(us for _, us in requested) / 1e6, UTC) + timedelta(days=_LATE_DAYS)
    partitioning = ds.partitioning(pa.schema([("date", pa.date32())]), flavor="hive")
    archive = ds.dataset(base, filesystem=files, format="parquet", partitioning=partitioning)
    if "key" not in archive.schema.names:
        return empty
    watches = pa.array(sorted({device.encode() for device, _ in requested}), pa.binary())
    # a message is filed by the date of its arrival, which a replay may have moved to a later day
    begin = (first - timedelta(days=1)).date()
    condition = (pc.field("date") >= begin) & pc.field("key").isin(watches)
    if last.date() >= datetime.now(UTC).date():
        table = archive.to_table(columns=names, filter=condition)
    else:
        table = archive.to_table(columns=names, filter=condition & (pc.field("date") <= last.date()))
    if not table.num_rows:
        return empty
    # a lost checkpoint may have archived some messages twice
    place = table.append_column("row", pa.array(np.arange(table.num_rows)))
    once = place.group_by(["partition", "offset"]).aggregate([("row", "min")]).column("row_min")
    return table.take(once.combine_chunks().sort())
