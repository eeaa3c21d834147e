"""The windows around labelled ones, from the archive of raw messages, by the same path as the stream's.

Without Spark: the messages of some watches around some instants are few. An archive is read by date, and of each
file only the rows of the watches that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from activitymodule.learning.training_set import Neighbours
from activitymodule.settings import Settings
from activitymodule.streaming.archive import archive_path
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import features
from activitymodule.windows.grouping import group_panes
from activitymodule.windows.panes import decode_panes

_LATE_DAYS = 2  # after the window, messages of it may come; those that come later are not looked for
_CHUNK = 4096  # windows at a time
_LOG_APPEND_TIME = 1


def neighbours(
    config: Settings, labelled: Iterable[tuple[str, int]], each_side: int
) -> dict[tuple[str, int], Neighbours]:
    """By (device_id, window_us) of a labelled window: up to `each_side` windows before and after it, as far as the
    archive has their readings. Nothing where there is no archive."""
    wanted = sorted(set(labelled))
    slide_us = config.windows.slide_seconds * 1_000_000
    offsets = [k * slide_us for k in range(-each_side, each_side + 1) if k]
    asked = sorted({(device, us + offset) for device, us in wanted for offset in offsets})
    if not asked:
        return {}
    found = _windows(config, asked)
    out: dict[tuple[str, int], Neighbours] = {}
    for device, us in wanted:
        near = [us + offset for offset in offsets if (device, us + offset) in found]
        if near:
            rows = [found[device, start] for start in near]
            out[device, us] = Neighbours(
                window_us=np.array(near, np.int64),
                features=np.stack([row[0] for row in rows]),
                whole=np.array([row[1] for row in rows]),
            )
    return out


def _windows(
    config: Settings, asked: list[tuple[str, int]]
) -> dict[tuple[str, int], tuple[np.ndarray, bool]]:
    """Features of windows, and whether they have readings enough, by (device_id, window_us)."""
    messages = _messages(config, asked)
    if not messages.num_rows:
        return {}
    windows = config.windows
    kafka_us = messages.column("timestamp").cast(pa.int64()).to_numpy()
    by_broker = messages.column("timestampType").to_numpy() == _LOG_APPEND_TIME
    now_us = int(datetime.now(UTC).timestamp() * 1e6)
    panes, _ = decode_panes(
        messages.column("value").combine_chunks(),
        kafka_us,
        now_us=np.where(by_broker, kafka_us, now_us),
        limits=config.telemetry,
        slide_seconds=windows.slide_seconds,
    )
    grouped = group_panes(panes, windows)
    keys = list(
        zip(grouped.column("device_id").to_pylist(), grouped.column("window_us").to_pylist(), strict=True)
    )
    among = set(asked)
    chosen = [row for row, key in enumerate(keys) if key in among]
    out: dict[tuple[str, int], tuple[np.ndarray, bool]] = {}
    for low in range(0, len(chosen), _CHUNK):
        part = grouped.take(pa.array(chosen[low : low + _CHUNK]))
        batch = assemble(part.column("window_us").to_numpy(), part.column("panes"), windows)
        rows = features(batch, windows)
        whole = batch.coverage >= windows.queue_coverage
        out |= {keys[row]: (rows[k], bool(whole[k])) for k, row in enumerate(chosen[low : low + _CHUNK])}
    return out


def _messages(config: Settings, asked: list[tuple[str, int]]) -> pa.Table:
    """Archived messages of the watches from the first window asked for until _LATE_DAYS after the last one, each
    once."""
    path = archive_path(config)
    files, base = fs.FileSystem.from_uri(path)
    names = ["key", "value", "partition", "offset", "timestamp", "timestampType"]
    empty = pa.table({name: [] for name in names})
    if files.get_file_info(base).type != fs.FileType.Directory:
        return empty
    first = datetime.fromtimestamp(min(us for _, us in asked) / 1e6, UTC)
    last = datetime.fromtimestamp(max(us for _, us in asked) / 1e6, UTC) + timedelta(days=_LATE_DAYS)
    partitioning = ds.partitioning(pa.schema([("date", pa.date32())]), flavor="hive")
    archive = ds.dataset(base, filesystem=files, format="parquet", partitioning=partitioning)
    if "key" not in archive.schema.names:
        return empty
    watches = pa.array(sorted({device.encode() for device, _ in asked}), pa.binary())
    # a message's own date is that of its arrival, which a replay may have moved: only the beginning is sure
    begin = (first - timedelta(days=1)).date()
    wanted = (pc.field("date") >= begin) & pc.field("key").isin(watches)
    if last.date() >= datetime.now(UTC).date():
        table = archive.to_table(columns=names, filter=wanted)
    else:
        table = archive.to_table(columns=names, filter=wanted & (pc.field("date") <= last.date()))
    if not table.num_rows:
        return empty
    # a lost checkpoint may have archived some messages twice
    place = table.append_column("row", pa.array(np.arange(table.num_rows)))
    once = place.group_by(["partition", "offset"]).aggregate([("row", "min")]).column("row_min")
    return table.take(once.combine_chunks().sort())
