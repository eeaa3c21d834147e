"""WISDM smartwatch accelerometer (Weiss 2019, UCI 507, CC BY 4.0): lines `subject,activity,time,x,y,z;`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.gravity import STANDARD_GRAVITY, split_gravity
from activitymodule.telemetry.sources.base import (
    Chunk,
    Ledger,
    Unit,
    chunk_table,
    files_in,
    opened,
    register,
)

ACTIVITIES = {
    "A": "walking",
    "B": "jogging",
    "C": "stairs",
    "D": "sitting",
    "E": "standing",
    "M": "kicking",
}
START_US = 1_546_300_800_000_000  # 2019-01-01T00:00Z
_PERIOD_US = 100_000
_BLOCK_US = 300_000_000
_LONGEST_GAP_US = 7 * 86_400_000_000
_GAP_SLOTS = 10  # gravity is not averaged over more missing readings than this
_LONGEST_RUN = 72_000  # lines, one hour: a longer run is cut, so that no file is held whole

_FILE = re.compile(r"data_(\d+)_accel_watch\.txt")
_NUMBER = rb"\s*(-?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)\s*"
_LINE = re.compile(
    rb"\s*(\d+)\s*,\s*([A-Z])\s*(?:,\s*(\d{1,19})\s*)?,"
    + _NUMBER
    + b","
    + _NUMBER
    + b","
    + _NUMBER
    + rb";?\s*"
)


@register
class Wisdm:
    """`data_<person>_accel_watch.txt` of WISDM (Weiss 2019, UCI 507, CC BY 4.0): a folder, a file, or a .tar.gz.

    Lines are `subject,activity,time,x,y,z;` in m/s2, with gravity; the time, in nanoseconds since some moment, may be
    absent. With it, the mean of the lines of a tenth of a second becomes one reading, and rates and gaps are those
    that were recorded; a line that repeats the one before, time and all, is removed, and where the time goes back or
    leaps by a week (`clock_set_back`, `clock_set_forward`) the readings after it begin a block of 5 min. Without it,
    the order of lines is time, at 20 Hz, and the mean of two becomes one reading. Total acceleration in g with Core
    Motion's signs is -a / 9.80665 (Android reports the force that holds the watch, Core Motion gravity itself: a
    watch lying face up reads +9.8 there and -1 here). The mean over 2.1 s around a reading is the direction of
    gravity, hence pitch and roll; the rest is user acceleration. A run (a stretch of one activity) that is an exact
    copy of an earlier one of its file is removed (the file of person 1629 holds every run twice). Stamps begin at
    2019-01-01T00:00Z; a run goes on by its time, and without one it starts a block of 5 min. The watch was an LG G
    Watch (`device_model` wear-os).
    """

    name = "wisdm"

    def scan(self, path: Path) -> list[Unit]:
        """One unit a file; ConfigError or DataError where there is no such file."""
        found = files_in(path, ".txt")
        units = []
        for file, member in found:
            match = _FILE.fullmatch(Path(member or file).name)
            if match:
                units.append(Unit(self.name, file, match[1], member))
        if not units:
            raise ConfigError(f"{path} holds no WISDM file (data_<person>_accel_watch.txt)")
        return units

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The unit's readings in the order of time; DataError where it has another format."""
        seen: set[bytes] = set()
        clock = _Clock()
        malformed = 0
        with opened(unit) as file:
            lines = (line for line in file if line.strip() and line.strip() != b";")
            parsed = (_LINE.fullmatch(line.rstrip()) for line in lines)
            for (code, timed), group in groupby(parsed, key=_kind_of):
                if code is None:
                    malformed += sum(1 for _ in group)
                    continue
                while run := [match.groups()[2:] for match in islice(group, _LONGEST_RUN) if match]:
                    values = np.array([one[1:] for one in run], float)
                    digest = hashlib.sha256(code + values.tobytes()).digest()
                    again = digest in seen
                    seen.add(digest)
                    removed = {"malformed_row": malformed} if malformed else {}
                    malformed = 0
                    if again:  # the file of person 1629 holds every run twice
                        removed["repeated_run"] = len(run)
                        yield Chunk(_no_readings(unit), Ledger(sum(removed.values()), 0, removed))
                        continue
                    if timed:
                        times = np.array([int(one[0]) // 1000 for one in run], np.int64)
                        stretches = clock.stretches(times, values)
                    else:
                        stretches = iter([clock.untimed(values)])
                    for stretch in stretches:
                        yield _chunk(stretch, code.decode(), unit, removed)
                        removed = {}
        if malformed:
            yield Chunk(_no_readings(unit), Ledger(malformed, 0, {"malformed_row": malformed}))
        if not seen:
            raise DataError(f"{unit} has no line of the form subject,activity,x,y,z;")


def _kind_of(match: re.Match[bytes] | None) -> tuple[bytes | None, bool]:
    """The activity of a line, and whether it has a time."""
    return (match[2], match[3] is not None) if match else (None, False)


@dataclass(frozen=True)
class _Stretch:
    """Readings without a gap. stamp_us : (n,) int64; force : (n, 3), m/s2; lines : how many they were made of, and
    those of these that were removed or noticed."""

    stamp_us: np.ndarray
    force: np.ndarray
    lines: int
    removed: dict[str, int]
    noticed: dict[str, int]


class _Clock:
    """Where a file has got to: stamps begin at START_US, and never go back."""

    def __init__(self) -> None:
        self._next_us = START_US  # the first stamp that no reading has
        self._last: int | None = None  # the newest recorded time, of which the stamp is that plus `_offset`
        self._offset = 0

    def _new_block(self) -> int:
        return START_US - (START_US - self._next_us) // _BLOCK_US * _BLOCK_US

    def untimed(self, force: np.ndarray) -> _Stretch:
        """Lines at 20 Hz, from the next block on."""
        start, pairs = self._new_block(), len(force) // 2
        stamps = start + np.arange(pairs) * _PERIOD_US
        self._next_us = start + max(1, pairs) * _PERIOD_US
        self._last = None
        removed = {"averaged_into_the_reading_before": pairs, **({"odd_row": 1} if len(force) % 2 else {})}
        return _Stretch(stamps, force[: 2 * pairs].reshape(pairs, 2, 3).mean(axis=1), len(force), removed, {})

    def stretches(self, times: np.ndarray, force: np.ndarray) -> Iterator[_Stretch]:
        """Lines by their times, microseconds, cut where the clock was set and where readings are missing."""
        step = np.diff(times)
        for part in np.split(
            np.arange(len(times)), np.flatnonzero((step < 0) | (step > _LONGEST_GAP_US)) + 1
        ):
            yield from self._onward(times[part], force[part])

    def _onward(self, times: np.ndarray, force: np.ndarray) -> Iterator[_Stretch]:
        """Lines by a clock that was not set."""
        noticed = {}
        step = None if self._last is None else int(times[0]) - self._last
        if step is None or not 0 <= step <= _LONGEST_GAP_US:
            noticed = {} if step is None else {f"clock_set_{'back' if step < 0 else 'forward'}": 1}
            self._offset = self._new_block() - int(times[0])
        self._last = int(times[-1])
        copy = np.r_[False, (np.diff(times) == 0) & (np.diff(force, axis=0) == 0).all(axis=1)]
        slots = (times + self._offset) // _PERIOD_US
        new = np.flatnonzero(np.diff(slots, prepend=slots[0] - 1))
        for first in np.split(new, np.flatnonzero(np.diff(slots[new]) > _GAP_SLOTS) + 1):
            end = int(new[new > first[-1]][0]) if first[-1] < new[-1] else len(times)
            here = slice(int(first[0]), end)
            kept = here.start + np.flatnonzero(~copy[here])
            starts = np.searchsorted(kept, first)
            count = np.diff(np.r_[starts, len(kept)])
            mean = np.add.reduceat(force[kept], starts, axis=0) / count[:, None]
            repeated = int(copy[here].sum())
            removed = {"averaged_into_the_reading_before": len(kept) - len(first), "repeated_row": repeated}
            stamps = slots[first] * _PERIOD_US
            self._next_us = int(stamps[-1]) + _PERIOD_US
            yield _Stretch(stamps, mean, end - here.start, {k: v for k, v in removed.items() if v}, noticed)
            noticed = {}


def _no_readings(unit: Unit) -> pa.Table:
    return chunk_table({}, unit.person, f"wisdm-{unit.person}", 0)


def _chunk(stretch: _Stretch, code: str, unit: Unit, removed: dict[str, int]) -> Chunk:
    """A stretch as readings; removed : rows removed just before it."""
    n = len(stretch.force)
    pitch, roll, user = split_gravity(-stretch.force / STANDARD_GRAVITY)
    activity = ACTIVITIES.get(code)
    columns = {
        "stamp": stretch.stamp_us,
        "pitch": pitch,
        "roll": roll,
        **{f"user_acceleration_{axis}": user[:, i] for i, axis in enumerate("xyz")},
        "device_model": np.full(n, "wear-os", object),
    }
    if activity:
        columns["activity"] = np.full(n, activity, object)
    noticed = dict(stretch.noticed) if activity else {**stretch.noticed, f"unknown_label:{code}": n}
    table = chunk_table(columns, unit.person, f"wisdm-{unit.person}", n)
    rows = stretch.lines + sum(removed.values())
    return Chunk(table, Ledger(rows, n, {**removed, **stretch.removed}, noticed))
