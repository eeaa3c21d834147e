"""How much of Java's memory the open windows take, and whether there is room for them: in the heap, or on the disk.

Spark keeps the readings of every window until the watermark has passed its end. Measured by benchmarks/scale.py.
"""

from __future__ import annotations

import re

from activitymodule.errors import RefusedError
from activitymodule.files import disk_space
from activitymodule.settings import Settings, resolve
from activitymodule.windows.packing import RECORD

# of a window beside its readings: its key, the rows' headers and the entry of the map (Spark 4.0, measured)
_WINDOW_BYTES = 400
# Java's old generation is half of the heap (session.py), and collecting it needs room too
_USABLE = 0.4
_LEAST_FREE_MB = 500  # of a disk with RocksDB, which writes some hundred megabytes at a time
_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def heap_bytes(config: Settings) -> int:
    """`spark.driver_memory` in bytes; 1 GB, Spark's default, where it cannot be read."""
    found = re.fullmatch(r"([0-9]+)\s*([kmgt])b?", config.spark.driver_memory.strip().lower())
    return int(found[1]) * _UNITS[found[2]] if found else 2**30


def state_bytes(config: Settings, watches: int) -> int:
    """The most that the open windows of so many watches take, each at the full rate, in bytes."""
    windows = config.windows
    overlap = windows.length_seconds // windows.slide_seconds
    opened = windows.watermark_minutes * 60 / windows.slide_seconds + overlap
    each = _WINDOW_BYTES + windows.length_seconds * windows.rate_hz * RECORD.itemsize
    return round(watches * opened * each)


def memory_advice(config: Settings) -> str:
    """What to set where Java's memory does not suffice."""
    spark = config.spark
    rocksdb = ", set spark.state_store to rocksdb" if spark.state_store == "memory" else ""
    return (
        f"raise spark.driver_memory (now {spark.driver_memory}){rocksdb}, or lower windows.watermark_minutes (now "
        f"{config.windows.watermark_minutes:g}): each watch's open windows are kept in memory for so long"
    )


def too_large(config: Settings, state: int, whose: str) -> str | None:
    """The warning for a state of so many bytes; None where it fits, or RocksDB keeps it on the disk.

    whose : what has this state, the subject of the sentence
    """
    if config.spark.state_store == "rocksdb" or state <= _USABLE * heap_bytes(config):
        return None
    return (
        f"{whose} take {state / 2**30:.1f} GB of Java's memory, and with spark.driver_memory "
        f"{config.spark.driver_memory} there is room for {_USABLE * heap_bytes(config) / 2**30:.1f} GB; the scorer "
        f"may run out of memory, which loses no reading: {memory_advice(config)}"
    )


def warning(config: Settings, watches: int) -> str | None:
    """The warning for so many watches, before they are read; None where their windows fit."""
    return too_large(config, state_bytes(config, watches), f"the open windows of {watches:,} watches may")


def require_disk(config: Settings) -> None:
    """Raises RefusedError where RocksDB is about to fill its disk: it would then wait for ever, also once there is
    space again. Nothing of a disk that this process does not see."""
    if config.spark.state_store != "rocksdb":
        return
    for place in (config.local.folder, config.spark.checkpoints):
        if "://" in place or not (folder := resolve(place)).exists():
            continue
        free = disk_space(folder)[0] >> 20
        if free < _LEAST_FREE_MB:
            raise RefusedError(
                f"the disk of {place} is nearly full ({free:,} MB are free): RocksDB, which keeps the open windows "
                f"there, would stop for ever, so the scorer ends first; free at least {_LEAST_FREE_MB} MB and start it "
                "again, it goes on where it was"
            )
