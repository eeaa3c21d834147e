"""Local times of a recording whose clock was set back: the hour that comes twice, a time zone, a correction."""

from __future__ import annotations

from collections import Counter

import numpy as np

_PERIOD_US = 100_000
_QUARTER_US = 900_000_000  # summer time and time zones move a clock by multiples of this
_SLACK_US = 60_000_000  # readings that may be missing where they do
_DISORDER_US = 1_000_000
_LATE_ROWS = (
    50  # rows that were written late are followed by newer ones; where none follow, the clock was set
)
_MOST_US = (
    26 * 3_600_000_000
)  # no two time zones are further apart; what goes back further is another recording
_SAME_ROWS = 20  # so many rows that are there already are a copy of them


class LocalClock:
    """Stamps of rows, in the order of their file, moved on by what the clock was set back, so that no time that was
    passed twice is taken for one. They stay moved until readings are missing for as long.

    Rows that are a copy of earlier ones keep their stamps, by which they are removed later.
    """

    def __init__(self, period_us: int = _PERIOD_US) -> None:
        """period_us : between two rows."""
        self._period_us = period_us
        self._moved = 0
        self._last: int | None = None
        self._stamps = np.empty(0, np.int64)  # of the last 26 hours, as they stand in the file
        self._rows = np.empty(0, np.int64)

    def moved(self, stamps: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, Counter[str]]:
        """The stamps, and what was noticed.

        stamps : int64 (n,) UTC microseconds; rows : int64 (n,), equal for rows that hold the same
        """
        noticed = Counter[str]()
        if not len(stamps):
            return stamps, noticed
        step = np.diff(stamps, prepend=stamps[0] if self._last is None else self._last)
        known = len(self._stamps)
        self._stamps, self._rows = np.r_[self._stamps, stamps], np.r_[self._rows, rows]
        by = np.full(len(stamps), self._moved)
        for i in np.flatnonzero(np.abs(step) > _DISORDER_US).tolist():
            if step[i] > 0:
                if step[i] >= self._moved:  # readings are missing for as long: the wearer's clock again
                    by[i:] = self._moved = 0
            elif (stamps[i : i + _LATE_ROWS] < stamps[i] - step[i]).all():
                if -step[i] > _MOST_US:
                    noticed["time_goes_back"] += 1
                elif not self._is_copy(known + i):
                    noticed["clock_set_back"] += 1
                    self._moved += _set_back_by(-int(step[i]), self._period_us)
                    by[i:] = self._moved
        noticed["moved_on_after_the_clock"] += int((by != 0).sum())
        self._last = int(stamps[-1])
        recent = self._stamps >= self._stamps.max() - _MOST_US
        self._stamps, self._rows = self._stamps[recent], self._rows[recent]
        return stamps + by, +noticed

    def _is_copy(self, i: int) -> bool:
        """Whether the rows from the i-th on stand in the file already."""
        earlier = set(zip(self._stamps[:i].tolist(), self._rows[:i].tolist(), strict=True))
        here = slice(i, i + _SAME_ROWS)
        return all(
            pair in earlier
            for pair in zip(self._stamps[here].tolist(), self._rows[here].tolist(), strict=True)
        )


def _set_back_by(step_us: int, period_us: int) -> int:
    """By how much a clock was set back where stamps went back by so much: quarters of an hour, unless more than a
    minute of readings would be missing then."""
    quarters = -(-step_us // _QUARTER_US) * _QUARTER_US
    return quarters if quarters - step_us <= _SLACK_US else step_us + period_us
