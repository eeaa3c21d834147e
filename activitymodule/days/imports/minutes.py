"""From the samples of a local day to its minutes: amounts of several sources counted once, heart rate, wear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from activitymodule.days.imports.samples import DayRows

_COARSE = 2 * 3600  # s: a record of so long is a total, whose minutes are not known
_MINUTE = 60.0


def length(day: DayRows) -> int:
    """Minutes of a local day: 1380, 1440 or 1500."""
    return round((day.end - day.start) / _MINUTE)


def is_fine(rows: np.ndarray) -> np.ndarray:
    """Which samples say when something was: bool (n,); the others are totals of hours."""
    return np.asarray(rows["end"] - rows["start"] < _COARSE)


def _one_an_interval(rows: np.ndarray) -> np.ndarray:
    """Of what a source tells more than once of one interval the largest; rows are sorted by source, time and value."""
    last = np.ones(len(rows), bool)
    last[:-1] = np.logical_or.reduce(
        [rows[name][1:] != rows[name][:-1] for name in ("source", "start", "end")]
    )
    return rows[last]


def spread(day: DayRows, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Amounts by minute of the day, each in equal shares over its interval, and the minutes that are covered."""
    n = length(day)
    begin = (rows["start"] - day.start) / _MINUTE
    end = np.maximum((rows["end"] - day.start) / _MINUTE, begin)
    first = np.minimum(begin.astype(np.int64), n - 1)
    last = np.minimum(np.maximum(np.ceil(end).astype(np.int64), first + 1), n)
    counts = last - first
    place = np.repeat(np.arange(len(rows)), counts)
    minute = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[place]
    overlap = np.minimum(minute + 1, end[place]) - np.maximum(minute, begin[place])
    long = end - begin
    share = np.where(long[place] > 0, overlap / np.where(long > 0, long, 1.0)[place], 1.0)
    amount = np.bincount(minute, rows["value"][place] * share, n)
    return amount, np.bincount(minute, minlength=n) > 0


def merged(
    day: DayRows, rows: np.ndarray, sources: Sequence[tuple[str, bool]]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Amounts of one kind by minute, each minute by one source: float64 (n,), which are covered, and what was told
    by other sources too.

    Watches come first, then the source with the most on this day, then by name. Records of two hours or more are
    totals; they count only on a day without finer ones, and then the largest source alone.
    """
    n = length(day)
    rows = _one_an_interval(rows)
    fine = rows[is_fine(rows)]
    if not len(fine):
        fine = rows
    totals = {
        int(one): float(fine["value"][fine["source"] == one].sum()) for one in np.unique(fine["source"])
    }
    rank = sorted(totals, key=lambda one: (not sources[one][1], -totals[one], sources[one][0]))
    if fine is rows:
        rank = rank[:1]
    amount, covered = np.zeros(n), np.zeros(n, bool)
    for one in rank:
        own, here = spread(day, fine[fine["source"] == one])
        amount = np.where(covered, amount, own)
        covered |= here
    return amount, covered, float(rows["value"].sum() - amount.sum())


def means(day: DayRows, rows: np.ndarray) -> np.ndarray:
    """Mean of a level by minute: float64 (n,), NaN where none was measured."""
    n = length(day)
    minute = np.minimum(((rows["start"] - day.start) / _MINUTE).astype(np.int64), n - 1)
    counts = np.bincount(minute, minlength=n)
    return np.where(counts, np.bincount(minute, rows["value"], n) / np.maximum(counts, 1), np.nan)


def worn(measured: np.ndarray, gap_minutes: int) -> np.ndarray:
    """Minutes in which the watch was worn: those with a heart rate, and gaps between them of at most so many."""
    n = len(measured)
    minute = np.arange(n)
    before = np.maximum.accumulate(np.where(measured, minute, -n))
    after = np.minimum.accumulate(np.where(measured, minute, 2 * n)[::-1])[::-1]
    return np.asarray(after - before <= gap_minutes)


def by_hour(minutes: np.ndarray) -> list[float]:
    """Minutes that are true, by hour since local midnight: 23, 24 or 25 numbers."""
    hours = -(-len(minutes) // 60)
    return [float(np.count_nonzero(minutes[60 * k : 60 * k + 60])) for k in range(hours)]
