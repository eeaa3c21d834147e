"""Times of rows to UTC microseconds: epochs, ISO, local times with a zone, and times since a trial's start."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.telemetry.decoding import parse_stamps
from activitymodule.telemetry.mapping.model import Time
from activitymodule.telemetry.sources.csv_blocks import numbers

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_OFFSET = r"\d{2}:\d{2}.*(Z|z|[+-]\d{2}(:?\d{2})?)$"
_DAY_US = 86_400_000_000
_HALF_HOUR_US = 1_800_000_000
_LARGEST = 9e18
GROUP_SECONDS = 10.0
"""Arrival times are averaged over so long where rows are spread evenly."""


class Clock:
    """Reads the times of a file's rows, in their order; it remembers which of two equal hours it is in."""

    def __init__(self, time: Time, decimal_comma: bool = False) -> None:
        self._time, self._comma = time, decimal_comma
        self._second = False
        self._last: int | None = None
        self._row = 0

    def read(self, columns: pa.Table) -> tuple[np.ndarray, np.ndarray, Counter[str], str]:
        """Microseconds (n,), since the epoch or, where times are relative, since any moment; which of them are
        known, bool (n,); what was noticed; and the reason of those that are not known."""
        kind, n = self._time.is_, len(columns)
        if kind == "rows":
            index = self._row + np.arange(n)
            self._row += n
            return (
                np.round(index * 1e6 / (self._time.rate_hz or 1)).astype(np.int64),
                np.ones(n, bool),
                Counter(),
                "",
            )
        column = self._column(columns)
        if pa.types.is_timestamp(column.type):
            if column.type.tz is None and kind == "local":
                naive = pc.cast(column, pa.timestamp("us"), safe=False)
                return self._local(
                    naive.cast(pa.int64()).fill_null(0).to_numpy(), pc.is_valid(column).to_numpy()
                )
            known = pc.is_valid(column).to_numpy() & (column.type.tz is not None)
            stamp = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
            return stamp.fill_null(0).to_numpy(), known, Counter(), "stamp_without_offset"
        if kind in ("iso", "local"):
            text = pc.fill_null(_joined(column.cast(pa.string())), "")
            if kind == "local":
                return self._local(*_naive(text, self._time.format))
            stamp, known = parse_stamps(text)
            bare = not known.any() and not pc.any(pc.match_substring_regex(text, _OFFSET)).as_py()
            return stamp, known, Counter(), "stamp_without_offset" if bare else "bad_stamp"
        values = to_numbers(column, self._comma)[0] * (1e6 / _PER_SECOND[kind.rsplit("_", 1)[1]])
        known = np.isfinite(values) & (np.abs(values) < _LARGEST)
        return np.round(np.where(known, values, 0)).astype(np.int64), known, Counter(), "bad_stamp"

    def _column(self, columns: pa.Table) -> pa.ChunkedArray:
        if self._time.columns is None:
            return columns.column(self._time.column)
        texts = [columns.column(name).cast(pa.string()) for name in self._time.columns]
        return pc.binary_join_element_wise(*texts, " ")

    def _local(
        self, naive: np.ndarray, known: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Counter[str], str]:
        """Times by a wall clock as UTC: of an hour that comes twice the first, until the clock goes back."""
        noticed: Counter[str] = Counter()
        zone = self._time.zone or "UTC"
        array = pa.array(naive).cast(pa.timestamp("us"))

        def utc(ambiguous: str, nonexistent: str) -> np.ndarray:
            made = pc.assume_timezone(array, zone, ambiguous=ambiguous, nonexistent=nonexistent)
            return np.array(made.cast(pa.int64()).to_numpy())

        stamp, later = utc("earliest", "earliest"), utc("latest", "earliest")
        never = stamp != utc("earliest", "latest")
        if never.any():  # the clock was not yet put forward: the offset of before
            day_before = pa.array(naive - _DAY_US).cast(pa.timestamp("us"))
            offset = (
                naive
                - _DAY_US
                - pc.assume_timezone(day_before, zone, ambiguous="earliest", nonexistent="earliest")
                .cast(pa.int64())
                .to_numpy()
            )
            stamp = np.where(never, naive - offset, stamp)
            noticed["no_such_local_time"] = int((never & known).sum())
        twice = (stamp != later) & ~never
        if twice.any():
            noticed["local_time_that_comes_twice"] = int((twice & known).sum())
            for i in np.flatnonzero(twice & known).tolist():
                before = int(naive[i - 1]) if i and known[i - 1] else self._last
                if i and not twice[i - 1]:
                    self._second = False
                if before is not None and before - int(naive[i]) > _HALF_HOUR_US:
                    self._second = True
                if self._second:
                    stamp[i] = later[i]
                self._last = int(naive[i])
        if len(naive) and known[-1]:
            self._last = int(naive[-1])
            self._second &= bool(twice[-1])
        return stamp, known, +noticed, "bad_stamp"


def to_numbers(column: pa.ChunkedArray, decimal_comma: bool) -> tuple[np.ndarray, int]:
    """float64 (n,), NaN where missing or not a number, and how many were not a number."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), 0
    if decimal_comma:
        column = pc.replace_substring(column, ",", ".")
    return numbers(column)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    made = column.combine_chunks()
    return pa.concat_arrays(made.chunks) if isinstance(made, pa.ChunkedArray) else made


def _naive(text: pa.Array, form: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Wall-clock times as microseconds since 1970, as if they were UTC, and which could be read."""
    if form is None:
        return parse_stamps(pc.binary_join_element_wise(pc.utf8_trim_whitespace(text), "Z", ""))
    stamp, known = np.zeros(len(text), np.int64), np.zeros(len(text), bool)
    epoch = datetime(1970, 1, 1)
    for i, one in enumerate(text.to_pylist()):
        try:
            since = datetime.strptime(one.strip(), form).replace(tzinfo=None) - epoch
        except ValueError:
            continue
        stamp[i] = since.days * _DAY_US + since.seconds * 1_000_000 + since.microseconds
        known[i] = True
    return stamp, known


def spread(time_us: np.ndarray, rate_hz: float | None = None) -> np.ndarray:
    """Arrival times, in bursts, as the times of evenly spaced rows: int64 (n,), rising, of one unbroken stretch.

    Up to half a minute one straight line is fitted; beyond it, straight lines go through the means of about 10 s, so
    that a rate that drifts is followed.
    """
    n = len(time_us)
    if n < 3:
        return time_us
    index, at = np.arange(n), (time_us - time_us[0]) / 1e6
    seconds = float(at[-1])
    groups = int(seconds // GROUP_SECONDS)
    if groups < 3 or n < 3 * groups:
        if rate_hz is not None:
            line = index / rate_hz + (at - index / rate_hz).mean()
        else:
            slope, start = np.polyfit(index, at, 1)
            line = start + slope * index
        return time_us[0] + np.round(line * 1e6).astype(np.int64)
    edges = np.linspace(0, n, groups + 1).astype(int)
    middle = np.array([(a + b - 1) / 2 for a, b in itertools.pairwise(edges)])
    mean = np.array([at[a:b].mean() for a, b in itertools.pairwise(edges)])
    line = np.interp(index, middle, mean)
    first, last = np.diff(mean)[0] / np.diff(middle)[0], np.diff(mean)[-1] / np.diff(middle)[-1]
    line = np.where(index < middle[0], mean[0] + (index - middle[0]) * first, line)
    line = np.where(index > middle[-1], mean[-1] + (index - middle[-1]) * last, line)
    return time_us[0] + np.round(line * 1e6).astype(np.int64)
