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

from activitymodule.lake.archive import ArrowFiles, archive_path, message_files
from activitymodule.learning.spreading import Neighbours
from activitymodule.settings import Settings
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import features
from activitymodule.windows.frame import NO_MODELS, KnownModels
from activitymodule.windows.grouping import group_panes
from activitymodule.windows.panes import arrival_us, decode_panes

_LATE_DAYS = 2  # messages of a window are searched up to so many days after it
_CHUNK = 4096  # windows at a time
_SCHEMA = pa.schema(
    {
        "key": pa.binary(),
        "value": pa.binary(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "timestamp": pa.timestamp("us", "UTC"),
        "timestampType": pa.int32(),
    }
)
# Spark writes times as INT96, which Arrow reads in nanoseconds by default
_PARQUET = ds.ParquetFileFormat(coerce_int96_timestamp_unit="us")


def neighbours(
    config: Settings,
    labelled: Iterable[tuple[str, int]],
    each_side: int,
    known: KnownModels = NO_MODELS,
) -> dict[tuple[str, int], Neighbours]:
    """Neighbours of labelled windows, by (device_id, window_us) of the labelled one.

    known : the models of the watches by the store
    each_side : at most so many windows before and after it, as far as the archive has their readings. Empty without
        an archive.
    """
    centres = sorted(set(labelled))
    slide_us = config.windows.slide_seconds * 1_000_000
    offsets = [k * slide_us for k in range(-each_side, each_side + 1) if k]
    keys = sorted({(device, us + offset) for device, us in centres for offset in offsets})
    if not keys:
        return {}
    windows = _windows(config, keys, known)
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
    config: Settings, requested: list[tuple[str, int]], known: KnownModels
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
        now_us=arrival_us(kafka_us, pc.fill_null(messages.column("timestampType"), 0).to_numpy()),
        limits=config.telemetry,
        slide_seconds=windows.slide_seconds,
        known=known,
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
    files = ArrowFiles(archive_path(config))
    first = datetime.fromtimestamp(min(us for _, us in requested) / 1e6, UTC)
    last = datetime.fromtimestamp(max(us for _, us in requested) / 1e6, UTC) + timedelta(days=_LATE_DAYS)
    # a message is filed by the date of its arrival, which a replay may have moved to a later day
    begin = (first - timedelta(days=1)).date()
    end = None if last.date() >= datetime.now(UTC).date() else last.date()
    paths = [path for day in message_files(files, files.base, begin, end) for path in day.paths]
    if not paths:
        return _SCHEMA.empty_table()
    archive = ds.dataset(paths, schema=_SCHEMA, filesystem=files.system, format=_PARQUET)
    watches = pa.array(sorted({device.encode() for device, _ in requested}), pa.binary())
    table = archive.to_table(filter=pc.field("key").isin(watches))
    # two records of one message, such as after a lost record of what is archived, are equal in all of these
    place = table.append_column("row", pa.array(np.arange(table.num_rows)))
    once = place.group_by(["partition", "offset", "timestamp", "value"]).aggregate([("row", "min")])
    return table.take(once.column("row_min").combine_chunks().sort())
