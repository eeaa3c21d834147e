"""Windows that were never queued, around labelled ones or under spans, computed from the archive of raw messages by the
code of the stream.

Without Spark, because few windows are needed: the archive is read by date, from each file only the rows of the given
watches, and only the panes of the requested windows are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from activitymodule.windows.grouping import group_panes, start_of
from activitymodule.windows.panes import arrival_us, decode_panes

_LATE_DAYS = 2  # messages of a window are searched up to so many days after it
_CHUNK = 4096  # windows at a time
_PORTION = 20_000  # windows whose panes are held at once: some 120 MB
_MESSAGES = 50_000  # decoded at a time
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
    windows = windows_at(config, keys, known)
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


def windows_at(
    config: Settings, requested: Iterable[tuple[str, int]], known: KnownModels = NO_MODELS
) -> dict[tuple[str, int], tuple[np.ndarray, bool]]:
    """Features of windows, float32 (len(FEATURE_NAMES),), and whether their coverage suffices, by (device_id,
    window_us); without those of which the archive has no reading. known : as of `neighbours`"""
    keys = sorted(set(requested), key=lambda key: (key[1], key[0]))
    out: dict[tuple[str, int], tuple[np.ndarray, bool]] = {}
    for low in range(0, len(keys), _PORTION):
        out |= _windows(config, keys[low : low + _PORTION], known)
    return out


def _windows(
    config: Settings, requested: list[tuple[str, int]], known: KnownModels
) -> dict[tuple[str, int], tuple[np.ndarray, bool]]:
    windows = config.windows
    among = set(requested)
    slide_us = windows.slide_seconds * 1_000_000
    needed = {
        (device, us + offset)
        for device, us in among
        for offset in range(0, windows.length_seconds * 1_000_000, slide_us)
    }
    found = (_panes_among(config, messages, needed, known) for messages in _messages(config, requested))
    kept = [panes for panes in found if panes.num_rows]
    if not kept:
        return {}
    grouped = group_panes(pa.Table.from_batches(kept).combine_chunks().to_batches()[0], windows)
    keys = list(
        zip(grouped.column("device_id").to_pylist(), grouped.column("window_us").to_pylist(), strict=True)
    )
    chosen = [row for row, key in enumerate(keys) if key in among]
    out: dict[tuple[str, int], tuple[np.ndarray, bool]] = {}
    for low in range(0, len(chosen), _CHUNK):
        part = grouped.take(pa.array(chosen[low : low + _CHUNK]))
        batch = assemble(part.column("window_us").to_numpy(), part.column("panes"), windows)
        rows = features(batch, windows)
        whole = batch.coverage >= windows.queue_coverage
        out |= {keys[row]: (rows[k], bool(whole[k])) for k, row in enumerate(chosen[low : low + _CHUNK])}
    return out


def _panes_among(
    config: Settings, messages: pa.RecordBatch, needed: set[tuple[str, int]], known: KnownModels
) -> pa.RecordBatch:
    """The panes of messages that are among (device_id, pane_us)."""
    slide_seconds = config.windows.slide_seconds
    kafka_us = messages.column("timestamp").cast(pa.int64()).to_numpy()
    panes, _ = decode_panes(
        messages.column("value"),
        kafka_us,
        now_us=arrival_us(kafka_us, pc.fill_null(messages.column("timestampType"), 0).to_numpy()),
        limits=config.telemetry,
        slide_seconds=slide_seconds,
        known=known,
    )
    start = start_of(panes.column("stamp").cast(pa.int64()).to_numpy(), slide_seconds * 1_000_000)
    places = zip(panes.column("device_id").to_pylist(), start.tolist(), strict=True)
    return panes.filter(pa.array([place in needed for place in places], pa.bool_()))


def _messages(config: Settings, requested: list[tuple[str, int]]) -> Iterator[pa.RecordBatch]:
    """Archived messages of the watches, from the first window until _LATE_DAYS after the last one.

    A message that is there twice, such as after a lost record of what is archived, does no harm: assembling takes each
    stamp once.
    """
    files = ArrowFiles(archive_path(config))
    first = datetime.fromtimestamp(min(us for _, us in requested) / 1e6, UTC)
    last = datetime.fromtimestamp(max(us for _, us in requested) / 1e6, UTC) + timedelta(days=_LATE_DAYS)
    # a message is filed by the date of its arrival, which a replay may have moved to a later day
    begin = (first - timedelta(days=1)).date()
    end = None if last.date() >= datetime.now(UTC).date() else last.date()
    paths = [path for day in message_files(files, files.base, begin, end) for path in day.paths]
    if not paths:
        return
    archive = ds.dataset(paths, schema=_SCHEMA, filesystem=files.system, format=_PARQUET)
    watches = pa.array(sorted({device.encode() for device, _ in requested}), pa.binary())
    for batch in archive.to_batches(
        columns=["value", "timestamp", "timestampType"],
        filter=pc.field("key").isin(watches),
        batch_size=_MESSAGES,
    ):
        if batch.num_rows:
            yield batch
