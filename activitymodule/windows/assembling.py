"""Windows on a regular grid, from packed panes in any order and split, some of them duplicated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activitymodule.errors import DataError
from activitymodule.settings import Windows
from activitymodule.windows.packing import CHANNELS, RECORD

LOW_COVERAGE = "low coverage"
NO_FEATURES = "no acceleration"
"""Why a window has no activity."""

_STEPS = CHANNELS.index("steps")
_ACCELERATION = slice(0, 3)
_LAST_SLOTS = 1.5  # before a window's end: a reading there shows that the window has ended


@dataclass(frozen=True)
class WindowBatch:
    """Windows of equal length on a grid of slots of 1/rate seconds.

    grid : float32 ndarray of shape (n_windows, length * rate, n_channels); NaN where nothing was measured
    coverage : float32 ndarray of shape (n_windows,); share of slots that hold a whole acceleration (x, y, z)
    readings_used : int32 ndarray of shape (n_windows,); readings with different stamps
    duplicates : int32 ndarray of shape (n_windows,); readings dropped because their stamp was there already
    newest_us : int64 ndarray of shape (n_windows,); UTC microseconds of the newest reading, the window's
        start where there is none
    """

    grid: np.ndarray
    coverage: np.ndarray
    readings_used: np.ndarray
    duplicates: np.ndarray
    newest_us: np.ndarray

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.grid)

    def take(self, rows: np.ndarray) -> WindowBatch:
        """Some of the windows: int ndarray of shape (n,), indices in rising order."""
        if len(rows) == len(self):
            return self
        return WindowBatch(
            self.grid[rows],
            self.coverage[rows],
            self.readings_used[rows],
            self.duplicates[rows],
            self.newest_us[rows],
        )


def assemble(window_start_us: np.ndarray, panes: pa.ListArray, windows: Windows) -> WindowBatch:
    """Windows from their packed panes; the result does not depend on the order or the split of the panes.

    window_start_us : int64 ndarray of shape (n_windows,), UTC microseconds
    panes : list array of binary of shape (n_windows,); each value is RECORDs one after another

    Readings of one stamp count once: where they differ, the one whose bytes come first in lexicographic order
    is taken. Readings of one slot are averaged channel by channel over what is there; steps are added up, as
    they count since the last reading. A reading outside its window is ignored. Raises DataError where a
    pane is not whole records.
    """
    window_start_us = np.asarray(window_start_us, np.int64)
    n = len(window_start_us)
    records, window, received = distinct_readings(window_start_us, panes, windows)
    stamps = records["stamp_us"]
    used = np.bincount(window, minlength=n)

    newest = window_start_us.copy()
    last = np.flatnonzero(np.diff(window, append=-1))
    newest[window[last]] = stamps[last]

    grid = _average_slots(records["values"], window, stamps - window_start_us[window], n, windows)
    whole = np.isfinite(grid[:, :, _ACCELERATION]).all(2)
    return WindowBatch(
        grid=grid,
        coverage=(np.count_nonzero(whole, axis=1) / whole.shape[1]).astype(np.float32),
        readings_used=used.astype(np.int32),
        duplicates=(received - used).astype(np.int32),
        newest_us=newest,
    )


def distinct_readings(
    window_start_us: np.ndarray, panes: pa.ListArray, windows: Windows
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The readings that windows are made of, by `assemble`'s rules: in the order of window and stamp, one a stamp.

    Returns RECORDs (n_readings,), the index of each one's window (n_readings,), and how many readings each window
    received (n_windows,), duplicates among them.
    """
    records, window = _unpack(panes)
    stamps = records["stamp_us"]
    inside = (stamps >= window_start_us[window]) & (
        stamps < window_start_us[window] + windows.length_seconds * 1_000_000
    )
    if not inside.all():
        records, window, stamps = records[inside], window[inside], stamps[inside]
    received = np.bincount(window, minlength=len(window_start_us))
    order = _order_of_distinct(records, window, stamps)
    if order is not None:
        records, window = records[order], window[order]
    return records, window, received


def _unpack(panes: pa.ListArray | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Records of all panes, as a view of their memory, and the number of the window each belongs to."""
    if isinstance(panes, pa.ChunkedArray):
        panes = panes.combine_chunks()
        if isinstance(panes, pa.ChunkedArray):
            panes = pa.concat_arrays(panes.chunks)
    flat = panes.flatten()
    wide = np.int64 if pa.types.is_large_binary(flat.type) else np.int32
    if len(flat) == 0:
        return np.empty(0, RECORD), np.empty(0, np.int64)
    _, offsets_buffer, values = flat.buffers()
    offsets = np.frombuffer(offsets_buffer, wide)[flat.offset : flat.offset + len(flat) + 1].astype(np.int64)
    count, rest = np.divmod(np.diff(offsets), RECORD.itemsize)
    if rest.any():
        raise DataError(
            f"a pane of {int(np.diff(offsets)[rest != 0][0])} bytes is no multiple of {RECORD.itemsize};"
            " panes and scorer must be of the same version"
        )
    total = int(offsets[-1] - offsets[0])
    records = (
        np.frombuffer(values, np.uint8, total, int(offsets[0])).view(RECORD) if total else np.empty(0, RECORD)
    )
    panes_of_window = np.diff(np.asarray(panes.offsets))
    if panes.null_count:
        panes_of_window = np.where(np.asarray(panes.is_null()), 0, panes_of_window)
    window_of_pane = np.repeat(np.arange(len(panes)), panes_of_window)
    return records, np.repeat(window_of_pane, count)


def _order_of_distinct(records: np.ndarray, window: np.ndarray, stamps: np.ndarray) -> np.ndarray | None:
    """Indices that sort by window and stamp and keep one reading a stamp; None where they are so already."""
    same_window = window[1:] == window[:-1]
    if not np.any(same_window & (stamps[1:] <= stamps[:-1])):
        return None
    # windows are in order already, so a stable sort by stamp within the window suffices
    order = np.lexsort((stamps, window))
    sorted_stamps, sorted_window = stamps[order], window[order]
    first = np.ones(len(order), bool)
    first[1:] = (sorted_stamps[1:] != sorted_stamps[:-1]) | (sorted_window[1:] != sorted_window[:-1])
    if first.all():
        return order
    kept = order[first]
    run = np.cumsum(first) - 1
    size = np.diff(np.flatnonzero(np.append(first, True)))
    tied = np.flatnonzero(size[run] > 1)
    candidates, run = order[tied], run[tied]
    # big-endian words compare as their bytes do
    words = np.ascontiguousarray(records["values"][candidates]).view(">u4")
    rank = np.lexsort((*(words[:, k] for k in range(words.shape[1] - 1, -1, -1)), run))
    candidates, run = candidates[rank], run[rank]
    winner = np.ones(len(run), bool)
    winner[1:] = run[1:] != run[:-1]
    kept[run[winner]] = candidates[winner]
    return kept


def _average_slots(
    values: np.ndarray, window: np.ndarray, since_start_us: np.ndarray, n: int, windows: Windows
) -> np.ndarray:
    """Readings in the order of window and time, averaged into the slots of the grid."""
    slots = windows.length_seconds * windows.rate_hz
    grid = np.full((n * slots, len(CHANNELS)), np.nan, np.float32)
    slot = window * slots + _slots(window, since_start_us, n, windows)
    if len(slot) == 0:
        return grid.reshape(n, slots, len(CHANNELS))
    new = np.ones(len(slot), bool)
    new[1:] = slot[1:] != slot[:-1]
    if new.all():
        grid[slot] = values
        return grid.reshape(n, slots, len(CHANNELS))
    starts = np.flatnonzero(new)
    alone = np.diff(np.append(starts, len(slot))) == 1
    grid[slot[starts[alone]]] = values[starts[alone]]
    # only slots with company are added up: a sum over a slot sees nothing but that slot
    crowded = ~alone[np.cumsum(new) - 1]
    values, slot, new = values[crowded].astype(np.float64), slot[crowded], new[crowded]
    starts = np.flatnonzero(new)
    there = ~np.isnan(values)
    count = np.add.reduceat(there, starts, axis=0, dtype=np.int64)
    total = np.add.reduceat(np.where(there, values, 0.0), starts, axis=0)
    with np.errstate(invalid="ignore"):
        mean = total / count
    mean[:, _STEPS] = np.where(count[:, _STEPS] > 0, total[:, _STEPS], np.nan)
    grid[slot[starts]] = mean
    return grid.reshape(n, slots, len(CHANNELS))


def _slots(window: np.ndarray, since_start_us: np.ndarray, n: int, windows: Windows) -> np.ndarray:
    """Slot of each reading within its window, 0 to slots - 1; readings in the order of window and time.

    A watch whose readings fall on the boundaries of the slots within some milliseconds would leave
    every other slot empty. So the slots of a window are taken half a slot earlier where that fills more.
    """
    slots = windows.length_seconds * windows.rate_hz
    slot = since_start_us * windows.rate_hz // 1_000_000
    filled = _distinct(window, slot, n)
    short = filled < np.minimum(np.bincount(window, minlength=n), slots)
    if not short.any():
        return slot
    chosen = np.flatnonzero(short[window])
    earlier = np.minimum((2 * since_start_us[chosen] * windows.rate_hz + 1_000_000) // 2_000_000, slots - 1)
    better = (_distinct(window[chosen], earlier, n) > filled)[window[chosen]]
    slot[chosen[better]] = earlier[better]
    return slot


def _distinct(window: np.ndarray, slot: np.ndarray, n: int) -> np.ndarray:
    """How many different slots each of n windows has readings in; both arrays in rising order."""
    new = np.ones(len(slot), bool)
    new[1:] = (slot[1:] != slot[:-1]) | (window[1:] != window[:-1])
    return np.asarray(np.bincount(window[new], minlength=n))


def complete(
    window_start_us: np.ndarray, newest_us: np.ndarray, coverage: np.ndarray, windows: Windows
) -> np.ndarray:
    """Which windows have ended and hold at least windows.queue_coverage of their slots: bool, shape as the arguments.

    A window has ended when the reading of its last slot has come; half a slot more is allowed for, as the readings of
    a watch may fall on the boundaries of the slots.
    """
    last_us = windows.length_seconds * 1_000_000 - int(_LAST_SLOTS * 1_000_000 / windows.rate_hz)
    return np.asarray((coverage >= windows.queue_coverage) & (newest_us - window_start_us >= last_us))
